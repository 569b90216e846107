"""Why a recording is as it is: stable codes, with words for people in English and Chinese.

Conventions: a code is lower-case ASCII with hyphens, stands in the manifest and never changes its meaning;
one that is out of use stays here, because old recordings carry it. ``…-agent`` and ``…-customer`` name the
channel. The words are whole sentences that an operator understands, without numbers or names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Language(StrEnum):
    """The languages that every reason has words in."""

    ENGLISH = "en"
    CHINESE = "zh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A code and its words."""

    code: str
    english: str
    chinese: str

    def words(self, language: Language) -> str:
        """Return the words in one language."""
        return self.chinese if language is Language.CHINESE else self.english


def _reason(code: str, english: str, chinese: str) -> Reason:
    return Reason(code=code, english=english, chinese=chinese)


_ALL: Final = (
    # Not recorded, by rule or of necessity.
    _reason("rule-never", "A rule says that this line is never recorded.", "按规则，此线路从不录音。"),
    _reason(
        "emergency", "An emergency number: connected at once, not recorded.", "紧急号码：立即接通，从不录音。"
    ),
    _reason("refused", "The customer did not agree to being recorded.", "客户不同意录音。"),
    _reason(
        "caller-not-allowed", "The caller is not on the list of allowed callers.", "主叫不在允许的名单内。"
    ),
    _reason("spool-full", "The disk for recordings was full.", "录音磁盘已满。"),
    _reason(
        "over-capacity", "More calls at once than this device can record.", "同时通话数超过本设备的录音能力。"
    ),
    _reason(
        "refused-no-phone",
        "An inbound call was turned away: no telephone is set for this desk.",
        "呼入被拒：未设置本坐席话机。",
    ),
    _reason("refused-by-settings", "The settings turned this call away.", "按设置拒绝此通话。"),
    _reason("bridge-down", "The call bridge was not running.", "通话桥接程序未运行。"),
    _reason("transferred", "The caller was connected with somebody else.", "通话已转接。"),
    # Not answered.
    _reason("unanswered-busy", "The called party was busy.", "被叫忙。"),
    _reason("unanswered-cancelled", "The caller hung up before the call was answered.", "接通前主叫已挂断。"),
    _reason("unanswered-rejected", "The called party rejected the call.", "被叫拒接。"),
    _reason("unanswered-unreachable", "The called party could not be reached.", "无法接通被叫。"),
    _reason("unanswered-timeout", "Nobody answered in time.", "无人接听。"),
    # Telling the customer.
    _reason("disclosure-failed", "The recording announcement could not be played.", "录音告知未能播放。"),
    _reason(
        "disclosure-incomplete",
        "The recording announcement was not played to its end.",
        "录音告知未播放完整。",
    ),
    _reason("disclosure-missing", "No recording announcement was played.", "未播放录音告知。"),
    _reason(
        "disclosure-not-checked",
        "Whether the announcement was played was not checked: the gateway plays it.",
        "录音告知由网关播放，尚未核验。",
    ),
    # How it sounds.
    _reason("too-quiet-agent", "The agent is too quiet.", "坐席声音过小。"),
    _reason("too-quiet-customer", "The customer is too quiet.", "客户声音过小。"),
    _reason("clipped-agent", "The agent's sound is distorted by overload.", "坐席声音过载失真。"),
    _reason("clipped-customer", "The customer's sound is distorted by overload.", "客户声音过载失真。"),
    _reason("silent-agent", "The agent's channel is silent.", "坐席声道无声。"),
    _reason("silent-customer", "The customer's channel is silent.", "客户声道无声。"),
    _reason("noisy-agent", "The agent's surroundings are too noisy.", "坐席环境噪声过大。"),
    _reason("noisy-customer", "The customer's surroundings are too noisy.", "客户环境噪声过大。"),
    # Why a source is not ready.
    _reason("bridge-starting", "The call bridge has not started to listen.", "通话桥接程序尚未开始监听。"),
    _reason(
        "bridge-stopping",
        "The call bridge takes no new calls: it is stopping.",
        "通话桥接程序正在停止，不接新呼叫。",
    ),
    _reason("bridge-silent", "The call bridge does not answer.", "通话桥接程序无响应。"),
    _reason(
        "bridge-failing",
        "The call bridge ended five times within a minute.",
        "通话桥接程序一分钟内退出五次。",
    ),
    _reason(
        "phone-not-registered",
        "The telephone has not registered through this machine.",
        "话机未经本机注册。",
    ),
    _reason("pbx-unknown", "The telephone system's address is not known.", "电话系统地址无法解析。"),
    _reason("pbx-unreachable", "The telephone system does not answer.", "电话系统无应答。"),
    _reason("announcement-broken", "An announcement can't be played.", "录音告知无法播放。"),
    _reason("keys-wrong", "The keys for recordings are not right.", "录音密钥有误。"),
    _reason("siprec-starting", "The recording server has not started to listen.", "录音服务器尚未开始监听。"),
    _reason(
        "siprec-stopping",
        "The recording server takes no new calls: it is stopping.",
        "录音服务器正在停止，不接新呼叫。",
    ),
    _reason(
        "siprec-full",
        "The recording server has as many calls as it may have.",
        "录音服务器已达到最大通话数。",
    ),
    _reason("media-down", "The process that takes the sound does not answer.", "语音接收进程无响应。"),
    # What was lost.
    _reason("media-lost", "Part of the sound did not arrive.", "部分语音数据丢失。"),
    _reason("no-media", "No sound arrived at all.", "未收到任何语音数据。"),
    _reason("no-media-agent", "No sound arrived from the agent's side.", "未收到坐席侧语音数据。"),
    _reason("no-media-customer", "No sound arrived from the customer's side.", "未收到客户侧语音数据。"),
    _reason(
        "one-stream", "Both sides came in one stream and can't be told apart.", "双方语音合为一路，无法区分。"
    ),
    _reason(
        "media-timeout",
        "Nothing came from the gateway for too long; the recording was ended.",
        "网关长时间未发送任何数据，录音已结束。",
    ),
    _reason(
        "session-expired",
        "The gateway stopped confirming the call; the recording was ended.",
        "网关不再确认通话，录音已结束。",
    ),
    _reason(
        "drain-limit",
        "The recorder was stopped while the call was running.",
        "通话进行中录音服务停止。",
    ),
    _reason(
        "media-died", "The process that takes the sound ended during the call.", "语音接收进程在通话中退出。"
    ),
    _reason("write-failed", "The disk refused to take the recording.", "录音写盘失败。"),
    _reason("bridge-died", "The call bridge ended during the call.", "通话桥接程序在通话中退出。"),
    _reason(
        "recovered",
        "The recorder ended during the call; what was safe on the disk was kept.",
        "录音程序在通话中退出，已安全写盘的部分已恢复。",
    ),
    _reason(
        "disk-changed",
        "A disk failed during the call; the recording goes on in another one, on the second disk.",
        "通话中磁盘故障，录音在备用磁盘上另存为后续录音。",
    ),
    _reason("spool-failed", "The disk for recordings failed.", "录音磁盘故障。"),
    _reason(
        "agent-died",
        "The recorder ended during the call; what it had written was kept.",
        "录音程序在通话中退出，已写入部分已保留。",
    ),
)

FAILURES: Final = frozenset({"write-failed", "no-media", "bridge-died", "media-died"})
"""Reasons by which a call without sound should have been recorded: it is `failed`, and not `exempt`."""

HARMLESS: Final = frozenset(
    {
        "unanswered-busy",
        "unanswered-cancelled",
        "unanswered-rejected",
        "unanswered-unreachable",
        "unanswered-timeout",
        "disclosure-not-checked",
        "one-stream",
    }
)
"""Reasons that say how a recording came about, and nothing against it: with these alone it is `ok`."""

REASONS: Final[Mapping[str, Reason]] = MappingProxyType({reason.code: reason for reason in _ALL})


def words(code: str, language: Language) -> str:
    """Return the words for a code; a code that this version does not know stands for itself."""
    reason = REASONS.get(code)
    return code if reason is None else reason.words(language)

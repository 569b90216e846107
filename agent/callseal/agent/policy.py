"""What the settings say that concerns every recording, put together for whoever records.

The agent does so, and each of its processes that take sound.
"""

from callseal.agent.binding import TENTATIVE_S, Policy
from callseal.agent.checks import Limits
from callseal.config.settings import Settings
from callseal.config.sources import SiprecSource


def policy_of(settings: Settings, software: str) -> Policy:
    """Give the policy of these settings; `software` names this program and its version."""
    has_gateway = any(isinstance(source, SiprecSource) for source in settings.sources)
    return Policy(
        site=settings.device.site,
        stores=lambda call, result: settings.stores_for(
            business=call.business, direction=call.direction, result=result.value
        ),
        flush_s=settings.flush_interval_s(),
        limits=Limits(
            min_level_dbov=settings.checks.min_level_dbov,
            max_clipped_ratio=settings.checks.max_clipped_ratio,
            silent_channel_dbov=settings.checks.silent_channel_dbov,
            silent_s=settings.checks.silent_s,
        ),
        software=software,
        banked=settings.is_banked(),
        tentative_s=TENTATIVE_S if has_gateway else None,
    )

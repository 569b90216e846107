"""What lies in an S3 store: objects, folders and versions, page by page, in the order of the names' bytes.

A prefix that is shorter than ``fleet/`` covers two buckets, whose listings are merged. Keys that end in a
slash are left out: they are what some consoles make for a folder.

Trap: SeaweedFS walks folders. It begins *behind* a folder that the listing shall begin after, and it sorts
``b/`` before ``b-c``, which in the order of bytes comes first. `start_after` makes up for the former. For the
latter no folder's name may be the beginning of its neighbour's with a ``-`` or ``.`` behind it, and in
``names`` none is.
"""

import heapq
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final

from callseal.store.interface import ObjectInfo
from callseal.store.names import FLEET
from callseal.store.s3_buckets import S3Buckets

_LATE: Final = "~"
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def objects(buckets: S3Buckets, prefix: str, after: str) -> Iterator[ObjectInfo]:
    """Yield the newest version of each object that begins with `prefix` and comes after `after`."""
    found = [_objects(buckets, *place, after) for place in buckets.places(prefix)]
    return _merged(found)


def versions(buckets: S3Buckets, prefix: str) -> Iterator[ObjectInfo]:
    """Yield every version of the objects that begin with `prefix`, the oldest of a name first."""
    return _merged([_versions(buckets, *place) for place in buckets.places(prefix)])


def folders(buckets: S3Buckets, prefix: str) -> Iterator[str]:
    """Yield what stands between `prefix`, empty or ended by a slash, and the next slash."""
    (main, _), *others = buckets.places(prefix)
    yield from heapq.merge(
        (name for name in _folders(buckets, main, prefix) if not (others and f"{name}/" == FLEET)),
        *((name for name in _folders(buckets, other, prefix) if f"{name}/" == FLEET) for other, _ in others),
    )


def start_after(after: str) -> str:
    """Return a name before `after`, with little between them, behind which every store lists what we want.

    It ends shortly before the name's last part, cut at a ``-`` or ``.``, since a folder of that name sorts
    either way; and with a sign that no name of ours has, since it must be no folder that is there.
    """
    folder, slash, last = after.rpartition("/")
    stem = re.split(r"[-.]", last, maxsplit=1)[0]
    if not stem:
        return folder + slash
    before = chr(ord(stem[-1]) - 1)
    return f"{folder}{slash}{stem[:-1]}{'.' if before == '/' else before}{_LATE}"


def _objects(buckets: S3Buckets, bucket: str, key_prefix: str, after: str) -> Iterator[ObjectInfo]:
    start: dict[str, Any] = {"StartAfter": buckets.key(start_after(after))} if after else {}
    for page in _pages(buckets, bucket, key_prefix, start):
        for item in page.get("Contents", ()):
            name = buckets.name(item["Key"])
            if name <= after:
                continue
            yield ObjectInfo(
                name=name,
                size_bytes=item["Size"],
                modified_at=item["LastModified"].astimezone(UTC),
            )


def _folders(buckets: S3Buckets, bucket: str, prefix: str) -> Iterator[str]:
    for page in _pages(buckets, bucket, buckets.key(prefix), {"Delimiter": "/"}):
        for item in page.get("CommonPrefixes", ()):
            name = buckets.name(item["Prefix"])[len(prefix) :].rstrip("/")
            if name:
                yield name


def _pages(
    buckets: S3Buckets, bucket: str, key_prefix: str, more: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    start: dict[str, Any] = {}
    while True:
        with buckets.asking(buckets.name(key_prefix)) as client:
            page: Any = client.list_objects_v2(Bucket=bucket, Prefix=key_prefix, **more, **start)
            # Read here, where what is missing means that no S3 store has answered.
            start = {"ContinuationToken": page["NextContinuationToken"]} if page["IsTruncated"] else {}
        yield page
        if not start:
            return


def _versions(buckets: S3Buckets, bucket: str, key_prefix: str) -> Iterator[ObjectInfo]:
    start: dict[str, Any] = {}
    same: list[ObjectInfo] = []
    while True:
        with buckets.asking(buckets.name(key_prefix)) as client:
            page = client.list_object_versions(Bucket=bucket, Prefix=key_prefix, **start)
            start = {"KeyMarker": page["NextKeyMarker"]} if page["IsTruncated"] else {}
        # Not there where a page ends between two names.
        if start and page.get("NextVersionIdMarker"):
            start["VersionIdMarker"] = page["NextVersionIdMarker"]
        for item in page.get("Versions", ()):
            found = ObjectInfo(
                name=buckets.name(item["Key"]),
                size_bytes=item["Size"],
                version=item["VersionId"],
                modified_at=item["LastModified"].astimezone(UTC),
            )
            if same and same[0].name != found.name:
                yield from _oldest_first(same)
                same = []
            same.append(found)
        if not start:
            break
    yield from _oldest_first(same)


def _merged(found: Sequence[Iterator[ObjectInfo]]) -> Iterator[ObjectInfo]:
    """Yield what several buckets hold as if it were one."""
    main, *others = found
    if others:
        main = (item for item in main if not item.name.startswith(FLEET))
    for item in heapq.merge(main, *others, key=attrgetter("name")):
        if not item.name.endswith("/"):
            yield item


def _oldest_first(newest_first: Sequence[ObjectInfo]) -> list[ObjectInfo]:
    """Return the versions of one name by their times; those of one time in the opposite of S3's order."""
    oldest_first = newest_first[::-1]
    return sorted(oldest_first, key=lambda item: item.modified_at or _LONG_AGO)

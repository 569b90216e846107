"""Business types: what a call is about, and which retention class that gives its recording.

A type is data. The built-in ones are the businesses of an insurer that its recording rules name
(requirements R11, R13, Q1, Q6, P1); `[[business]]` in the settings changes them by id or adds
others. A retention class is only a name here: its term in years is law and the customer's decision,
and belongs to the archive.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

__all__ = ["BUILTIN", "UNCLASSIFIED", "BusinessType", "merged"]

UNCLASSIFIED = "unclassified"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessType:
    """One kind of business; `label_zh` and `label_en` are what people read."""

    id: str
    label_zh: str
    label_en: str
    retention_class: str


def _types(*types: BusinessType) -> Mapping[str, BusinessType]:
    return MappingProxyType({business.id: business for business in types})


BUILTIN: Mapping[str, BusinessType] = _types(
    BusinessType(id="sales", label_zh="销售", label_en="Sales", retention_class="sales"),
    BusinessType(id="underwriting", label_zh="承保", label_en="Underwriting", retention_class="contract"),
    BusinessType(id="claims", label_zh="理赔", label_en="Claims", retention_class="contract"),
    BusinessType(id="service", label_zh="客户服务", label_en="Service", retention_class="service"),
    BusinessType(id="query", label_zh="保单查询", label_en="Policy query", retention_class="service"),
    # The follow-up call after a sale proves how the sale was made, so it is kept as long as that.
    BusinessType(id="follow-up", label_zh="回访", label_en="Follow-up", retention_class="sales"),
    BusinessType(id="complaint", label_zh="投诉", label_en="Complaint", retention_class="dispute"),
    BusinessType(id=UNCLASSIFIED, label_zh="未分类", label_en="Unclassified", retention_class="unclassified"),
)


def merged(overrides: Iterable[BusinessType]) -> Mapping[str, BusinessType]:
    """Lay `overrides` over the built-in types; an empty field keeps what the built-in type says."""
    types = dict(BUILTIN)
    for override in overrides:
        base = types.get(override.id, override)
        types[override.id] = replace(
            base,
            label_zh=override.label_zh or base.label_zh,
            label_en=override.label_en or base.label_en,
            retention_class=override.retention_class or base.retention_class,
        )
    return MappingProxyType(types)

"""The tree over a ledger is the one that the world's transparency logs use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.errors import LedgerError
from callseal.seal.ledger.merkle import (
    CompactRange,
    PackedHashes,
    first_difference,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_at,
    root_from_inclusion,
)

# The test tree of the certificate-transparency reference implementation (merkle_tree_test): eight leaves,
# the roots over the first 0 to 8 of them, and two paths.
INPUTS = "- 00 10 2021 3031 40414243 5051525354555657 606162636465666768696a6b6c6d6e6f"
LEAVES = [leaf_hash(bytes.fromhex(text.strip("-"))) for text in INPUTS.split()]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 7): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}

hashes = st.binary(min_size=32, max_size=32)


def recursive_root(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word by word."""
    if len(leaves) == 1:
        return leaves[0]
    middle = max(1 << n for n in range(20) if 1 << n < len(leaves))
    return node_hash(recursive_root(leaves[:middle]), recursive_root(leaves[middle:]))


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference_implementation(size: int) -> None:
    tree = CompactRange()
    for leaf in LEAVES[:size]:
        tree.append(leaf)

    roots = tree.root(), root_at(LEAVES, size)

    assert [root.hex() for root in roots] == [ROOTS[size]] * 2


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_proofs_are_those_of_the_reference_implementation(index: int, size: int) -> None:
    proof = inclusion_proof(LEAVES, index, size)

    assert [item.hex() for item in proof] == PATHS[index, size]


@given(st.lists(hashes, min_size=1, max_size=80), st.data())
def test_a_tree_that_was_put_away_and_taken_up_again_is_the_same(
    leaves: list[bytes], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(leaves)))
    tree = CompactRange()
    for leaf in leaves[:cut]:
        tree.append(leaf)

    again = CompactRange.from_peaks(tree.size, tree.peaks)
    for leaf in leaves[cut:]:
        again.append(leaf)

    assert again.size == len(leaves)
    assert again.root() == recursive_root(leaves)


@given(st.lists(hashes, min_size=1, max_size=80, unique=True), st.data())
def test_a_proof_leads_from_its_own_leaf_to_the_root_and_from_no_other(
    leaves: list[bytes], data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, len(leaves)))
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1))
    root = root_at(leaves, size)

    proof = inclusion_proof(PackedHashes(b"".join(leaves)), index, size)

    assert root_from_inclusion(leaves[index], index, size, proof) == root
    assert (root_from_inclusion(leaves[other], index, size, proof) == root) is (other == index)
    with pytest.raises(LedgerError, match="longer"):
        root_from_inclusion(leaves[index], index, size, [*proof, bytes(32)])
    if proof:
        with pytest.raises(LedgerError, match="shorter"):
            root_from_inclusion(leaves[index], index, size, proof[:-1])


def test_there_is_no_proof_for_a_leaf_beyond_the_tree() -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        inclusion_proof(LEAVES, 5, 5)


@given(hashes, st.integers(-1, 200), st.integers(-1, 200), st.lists(st.binary(max_size=33), max_size=70))
def test_whatever_a_proof_holds_only_the_ledgers_error_comes_out(
    leaf: bytes, index: int, size: int, proof: list[bytes]
) -> None:
    try:
        root = root_from_inclusion(leaf, index, size, proof)
    except LedgerError:
        return

    assert len(root) == 32


def test_a_leaf_can_not_pass_for_a_node() -> None:
    assert leaf_hash(LEAVES[0] + LEAVES[1]) != node_hash(LEAVES[0], LEAVES[1])


@pytest.mark.parametrize(
    ("size", "peaks"), [(-1, []), (1, []), (3, [bytes(32)]), (2, [bytes(32), bytes(32)]), (1, [b"short"])]
)
def test_peaks_that_can_not_be_are_refused(size: int, peaks: list[bytes]) -> None:
    with pytest.raises(ValueError, match="peak"):
        CompactRange.from_peaks(size, peaks)


@given(st.lists(hashes, min_size=1, max_size=40), st.data())
def test_the_first_difference_of_two_rows_is_found(row: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(row) - 1))
    other = [*row]
    other[index] = bytes(32) if row[index] != bytes(32) else bytes([1]) * 32
    cut = data.draw(st.integers(0, len(row)))

    found = first_difference(PackedHashes(b"".join(row)), PackedHashes(b"".join(other[:cut])))

    assert found == (index if cut > index else None)

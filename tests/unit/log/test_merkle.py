import pytest

from harness.log.merkle import EMPTY_ROOT, Tree, is_consistent, leaf_hash, root_from_inclusion, root_of

# The inputs and roots that the reference implementation of RFC 6962 is tested with.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATH_OF_THE_FIRST_OF_EIGHT = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]
SIZES = 70


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree(leaf_hash(number.to_bytes(4, "big")) for number in range(SIZES))


def test_roots_and_a_path_are_those_of_the_reference() -> None:
    leaves = [leaf_hash(data) for data in INPUTS]
    assert [root_of(leaves[:size]).hex() for size in range(1, 9)] == ROOTS
    grown = Tree(leaves)
    assert [grown.root(size).hex() for size in range(1, 9)] == ROOTS
    assert grown.root(0) == root_of([]) == EMPTY_ROOT
    assert [one.hex() for one in grown.inclusion(0, 8)] == PATH_OF_THE_FIRST_OF_EIGHT


def test_every_inclusion_proof_leads_to_the_root_and_no_altered_one_does(tree: Tree) -> None:
    for size in range(1, SIZES + 1):
        root = tree.root(size)
        for index in range(size):
            path = tree.inclusion(index, size)
            assert root_from_inclusion(tree.leaf(index), index, size, path) == root
            other = (index + 1) % size
            if other != index:
                assert root_from_inclusion(tree.leaf(other), index, size, path) != root
                assert root_from_inclusion(tree.leaf(index), other, size, path) != root
            for place in range(len(path)):
                bent = [*path[:place], bytes(32), *path[place + 1 :]]
                assert root_from_inclusion(tree.leaf(index), index, size, bent) != root
                assert root_from_inclusion(tree.leaf(index), index, size, path[:place]) != root
            assert root_from_inclusion(tree.leaf(index), index, size, [*path, bytes(32)]) != root


def test_every_consistency_proof_holds_and_no_altered_one_does(tree: Tree) -> None:
    for new in range(1, SIZES + 1):
        for old in range(new + 1):
            path = tree.consistency(old, new)
            roots = tree.root(old), tree.root(new)
            assert is_consistent(old, roots[0], new, roots[1], path)
            if old in {0, new}:
                assert path == []
                assert not is_consistent(old, roots[0], new, roots[1], [bytes(32)])
                continue
            assert not is_consistent(old, bytes(32), new, roots[1], path)
            assert not is_consistent(old, roots[0], new, bytes(32), path)
            assert not is_consistent(old, roots[0], new, roots[1], path[:-1])
            assert not is_consistent(old, roots[0], new, roots[1], [*path, bytes(32)])
            for place in range(len(path)):
                bent = [*path[:place], bytes(32), *path[place + 1 :]]
                assert not is_consistent(old, roots[0], new, roots[1], bent)


def test_a_proof_for_no_place_of_the_tree_leads_nowhere(tree: Tree) -> None:
    assert root_from_inclusion(tree.leaf(0), 3, 3, []) is None
    assert root_from_inclusion(tree.leaf(0), -1, 3, []) is None
    assert not is_consistent(5, tree.root(5), 4, tree.root(4), [])

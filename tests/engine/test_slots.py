"""Which slot a sequence gets, and how much of its prompt is there already."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandle.engine.slots import Copy, SlotTable, shared_prefix
from tests.engine.stepping import sequence

tokens = st.lists(st.integers(0, 2), max_size=90)


@settings(deadline=None)
@given(tokens, tokens, tokens)
@example([1] * 40, [], [])
@example([1] * 31, [2], [0])
@example([], [1], [1])
def test_shared_prefix_is_the_longest_one_that_leaves_a_token(common: list[int], held_end: list[int],
                                                              wanted_end: list[int]) -> None:
    held, wanted = common + held_end, common + wanted_end
    expected = 0
    while expected < min(len(held), len(wanted) - 1) and held[expected] == wanted[expected]:
        expected += 1
    if wanted:
        assert shared_prefix(held, wanted) == expected


def table(*contents: str) -> SlotTable:
    """Free slots that hold texts, used in this order, the last one latest; an empty one was never used."""
    slots = SlotTable(len(contents))
    for index, text in enumerate(contents):
        if text:
            slots.write(index, 0, list(text.encode()), index + 1)
    return slots


def placed(slots: SlotTable, prompt: str) -> tuple[int | None, int, Copy | None]:
    """Places a prompt; returns its slot, how much of it is there, and the copy to be made."""
    item = sequence(prompt)
    copy = slots.place(item, slots.shared(item))
    return item.slot, item.computed, copy


def test_the_slot_that_holds_the_prefix_is_taken_over() -> None:
    assert placed(table('x' * 30, 'a' * 40, 'y' * 30), 'a' * 50) == (1, 40, None)


def test_of_slots_that_share_nothing_the_one_unused_for_longest_is_taken() -> None:
    slots = table('x' * 30, '', 'y' * 30)
    assert placed(slots, 'a' * 50) == (1, 0, None), 'one that was never used holds nothing of worth'
    assert placed(slots, 'b' * 50) == (0, 0, None)


def test_contents_that_are_shared_for_a_small_part_are_left_to_their_owner() -> None:
    conversation = 'system prompt, twenty ' + 'x' * 100
    assert placed(table('y' * 30, conversation), 'system prompt, twenty aaaa') == (0, 22, Copy(1, 0, 22))
    assert placed(table(conversation), 'system prompt, twenty aaaa') == (0, 22, None), 'unless there is no other'


def test_few_tokens_are_not_worth_a_copy() -> None:
    slots = table('', 'a' * 60)
    assert placed(slots, 'a' * 15 + 'b' * 20) == (0, 0, None)


def test_a_used_slot_lends_its_prefix() -> None:
    slots = table('', '')
    first = sequence('a' * 40)
    assert slots.place(first, slots.shared(first)) is None and first.slot == 0
    slots.write(0, 0, first.tokens, 1)
    assert placed(slots, 'a' * 40) == (1, 39, Copy(0, 1, 39))


def test_a_free_slot_that_holds_nearly_as_much_needs_no_copy() -> None:
    slots = table('', '')
    first = sequence('a' * 40)
    slots.place(first, slots.shared(first))
    slots.write(0, 0, first.tokens, 1)
    slots.write(1, 0, first.tokens[:30], 2)
    assert placed(slots, 'a' * 40) == (1, 30, None)


def test_a_prompt_that_is_scored_shares_nothing() -> None:
    slots = table('a' * 40)
    item = sequence('a' * 40, scores_prompt=True)
    assert slots.place(item, slots.shared(item)) is None and item.computed == 0
    slots.free(0)
    assert placed(slots, 'a' * 40) == (0, 0, None), 'what the slot held is about to be written over'


def test_what_was_computed_with_an_adapter_is_of_use_with_it_only() -> None:
    slots = table('', '')
    for slot, adapter in enumerate([None, 'poet']):
        item = sequence('a' * 40, adapter=adapter)
        assert slots.place(item, slots.shared(item)) is None and (item.slot, item.computed) == (slot, 0)
        slots.write(slot, 0, item.tokens, slot + 1)
    slots.free(0)
    slots.free(1)
    assert [slots.shared(sequence('a' * 40, adapter=adapter)) for adapter in (None, 'poet', 'pirate')] == [
        [39, 0], [0, 39], [0, 0]]


def test_forgotten_slots_hold_nothing() -> None:
    slots = table('a' * 40, 'b' * 40)
    slots.forget()
    assert slots.shared(sequence('a' * 40)) == [0, 0]
    assert placed(slots, 'b' * 40) == (0, 0, None)

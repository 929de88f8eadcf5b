"""What is counted in a compiled program."""

import pytest

from benchmarks import aot

HEAD = """\
HloModule jit_step

%body (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %p = (s32[], f32[4]{0}) parameter(0)
  %x = f32[4]{0} get-tuple-element(%p), index=1
  %y = f32[4]{0} fusion(%x), kind=kLoop, calls=%fused
  ROOT %out = (s32[], f32[4]{0}) tuple(%i, %y)
}

%condition (p: (s32[], f32[4])) -> pred[] {
  %limit = s32[]{:T(128)} constant(5)
  ROOT %less = pred[] compare(%i, %limit), direction=LT
}

ENTRY %main (a: f32[4]) -> f32[4] {
  %a = f32[4]{0} parameter(0)
  %c = (f32[4]{0}, u8[0]{0}) custom-call(%a), custom_call_target="__cudnn$convForward"
  %g = f32[4]{0} convolution(%a, %a), feature_group_count=GROUPS
"""
LOOP = "  %w = (s32[], f32[4]{0}) while(%t), condition=%condition, body=%body"
TRIPS = ', backend_config={"known_trip_count":{"n":"7"}}'
END = "\n  ROOT %r = f32[4]{0} get-tuple-element(%w), index=1\n}\n"


@pytest.mark.parametrize(("more", "trips"), [(TRIPS, 7), ("", 5)])
def test_loops_count_as_often_as_they_run(more: str, trips: int) -> None:
    count = aot.count(HEAD.replace("GROUPS", "1") + LOOP + more + END)
    assert count["entry"] == 2 and count["loops"] == [[trips, 1]]  # The loop itself is none.
    assert count["launches"] == 2 + trips
    assert count["calls"] == {"cudnn": 1} and count["grouped_convolutions"] == 0


def test_grouped_convolutions_are_seen() -> None:
    text = HEAD.replace("GROUPS", "5") + LOOP + END
    assert aot.count(text)["grouped_convolutions"] == 1


@pytest.mark.parametrize(
    ("factors", "precision", "taken"),
    [
        ("bf16", "", 1),
        ("f32", "", 1),
        ("f32", ", operand_precision={high,high}", 1),
        ("f32", ", operand_precision={highest,highest}", 0),
        ("f64", "", 0),
    ],
)
def test_products_of_short_factors_are_for_tensor_cores(
    factors: str, precision: str, taken: int
) -> None:
    dot = f"  %v = {factors}[4]{{0}} parameter(1)\n  %d = f32[] dot(%v, %v){precision}\n"
    count = aot.count(HEAD.replace("GROUPS", "1") + dot + LOOP + END)
    assert count["products"] == 3 and count["on_tensor_cores"] == 2 + taken  # Two are HEAD's.


def test_what_goes_to_the_host_is_seen() -> None:
    text = HEAD.replace("GROUPS", "1") + "  %h = f32[4]{0:S(5)} copy(%a)\n" + LOOP + END
    assert aot.count(text)["host"] == 1
    assert aot.count(text.replace("S(5)", "S(1)"))["host"] == 0

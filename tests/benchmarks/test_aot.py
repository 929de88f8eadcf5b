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

# The program is killed $CYCLES times (50) in the midst of load, and what it has after each start is checked; the suite's own broker idles.
prepare() { [ -x "${CRASH:-}" ] || die "no program crash"; }

check() { passes crash "$CRASH" --cycles "${CYCLES:-50}" --seed "$RANDOM" --leveret "$LEVERET" --dir "$work/crash"; }

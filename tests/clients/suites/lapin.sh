# lapin's own tests, from its crate, over tokio and smol and without TLS. One of them, not in the baseline, tells only
# whether the port 5673 is free.
lapin_version=4.12.3
lapin_tests=(cargo test --no-default-features --features tokio,smol --tests --no-fail-fast)
export CARGO_TARGET_DIR=$cache/lapin CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0

prepare() {
  crate_source lapin $lapin_version && cd "$source" && again cargo fetch && "${lapin_tests[@]}" --offline --no-run
}

check() {
  crate_source lapin $lapin_version && cd "$source" || return
  AMQP_ADDR=$AMQP_URL/%2f "${lapin_tests[@]}" --offline -- --test-threads=1 >"$work/tests" 2>&1
  cat "$work/tests"
  # A test is named after its program; what a test prints may come between its name and its result.
  awk '
    $1 == "Running" { program = $2; sub(/.*\//, "", program) }
    /^test .* \.\.\./ { name = $2 }
    name && match($0, /(ok|FAILED|ignored)$/) {
      result = substr($0, RSTART)
      print (result == "ok" ? "PASS" : result == "FAILED" ? "FAIL" : "SKIP"), program "::" name
      name = ""
    }' "$work/tests" >>"$verdicts"
  baseline lapin
}

# The email cruncher with services in Rust, with Kombu and with Celery: each make alone, and mixed so that each two services
# meet in each two makes. All have to find the same, whatever else comes.
prepare() { need_python && need_demo; }

check() {
  local programs=$clients/programs/python/demo combinations combination make
  combinations=$("$python" "$programs/combinations.py") || return
  while read -r -a combination; do
    passes "$(IFS=-; echo "${combination[*]}")" "$python" "$programs/mix.py" "${combination[@]}" </dev/null
  done <<<"$combinations"
  for make in rust kombu celery; do passes "garbage-$make" "$python" "$programs/garbage.py" "$make"; done
}

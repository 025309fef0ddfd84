# The email cruncher's page in Debian's Chromium, driven by playwright. Its screenshots are left in $SCREENSHOTS, or
# in the suite's own folder, which goes when all has passed.
prepare() {
  apt_need chromium && need_python && need_demo || return
  mkdir -p "$cache/demo-web" && cd "$cache/demo-web" || return
  cp "$clients/programs/node/web/"*.json .
  cmp -s package-lock.json complete && return
  again npm ci --no-audit --no-fund && cp package-lock.json complete
}

check() {
  local program
  cp -r "$cache/demo-web/node_modules" "$clients/programs/node/web/"*.mjs "$work" && cd "$work" || return
  export SCREENSHOTS=${SCREENSHOTS:-$work/screenshots} KOMBU=$repository/cruncher-demo/python/kombu PYTHON=$python
  for program in crunch restart elsewhere; do
    passes "$program" node "$work/$program.mjs"
  done
}

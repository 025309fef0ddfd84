# Node programs with amqplib that check themselves. Modules resolve from a program's own place, so they run as copies.
prepare() {
  mkdir -p "$cache/amqplib" && cd "$cache/amqplib" || return
  cp "$clients/programs/node/amqplib/"*.json .
  cmp -s package-lock.json complete && return
  again npm ci --no-audit --no-fund && cp package-lock.json complete
}

check() {
  local program
  cp -r "$cache/amqplib/node_modules" "$clients/programs/node/amqplib/"*.mjs "$work" || return
  for program in confirms prefetch requeue topic rpc errors; do
    passes "$program" node "$work/$program.mjs"
  done
}

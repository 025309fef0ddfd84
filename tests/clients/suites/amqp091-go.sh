# amqp091-go's own tests, from its module, in the version of Debian 12. Examples go to a fixed host, so only tests count.
go_module=github.com/rabbitmq/amqp091-go
go_version=v1.5.0

prepare() {
  command -v go >/dev/null || apt_need golang-go
  local source=$cache/source/amqp091-go-$go_version module
  [ -x "$source/integration.test" ] && return
  export GOFLAGS=-modcacherw GOTOOLCHAIN=local
  again go mod download "$go_module@$go_version" || return
  module=$(go env GOMODCACHE)/$go_module@$go_version
  rm -rf "$source" && cp -r "$module" "$source" && chmod -R u+w "$source" && cd "$source" &&
    again go mod download && go test -tags integration -c -o integration.test .
}

check() {
  cd "$cache/source/amqp091-go-$go_version" || return
  timeout --foreground 300 ./integration.test -test.v -test.timeout 290s -test.run '^Test' >"$work/tests" 2>&1
  cat "$work/tests"
  sed -nE 's/^ *--- (PASS|FAIL|SKIP): ([^ ]+) .*/\1 \2/p' "$work/tests" >>"$verdicts"
  baseline amqp091-go
}

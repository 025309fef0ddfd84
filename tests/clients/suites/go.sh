# Go programs with the newest amqp091-go that check themselves.
go_programs="confirms acks returns cancel"

prepare() {
  command -v go >/dev/null || apt_need golang-go
  export GOFLAGS=-modcacherw GOTOOLCHAIN=local
  cd "$clients/programs/go" && again go mod download && mkdir -p "$cache/go" && go build -o "$cache/go/" ./...
}

check() {
  local program
  for program in $go_programs; do passes "$program" "$cache/go/$program"; done
}

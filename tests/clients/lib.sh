# What `run` and the suites share: the cache, downloads, Debian packages, the Python environment, verdicts.
#
# A suite is a file suites/NAME.sh with two functions. `prepare` installs and downloads what the suite needs and may try
# again; `check` runs it, once, against the broker at $AMQP_URL ($AMQP_HOST, $AMQP_PORT) and gives verdicts with the
# functions at the end of this file. Both run in a shell of their own, with $work as a folder of theirs.

clients=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$clients/../.." && pwd)
cache=${LEVERET_CLIENTS_CACHE:-${TMPDIR:-/tmp}/leveret-clients}
python=$cache/python/bin/python
mkdir -p "$cache"

die() { echo "$*" >&2; exit 2; }

# target_directory: where Cargo builds the workspace.
target_directory() {
  (cd "$repository" && cargo metadata --format-version 1 --no-deps --offline) |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])'
}

# again COMMAND...: up to three tries, for what comes over the network and for nothing else.
again() {
  local try
  for try in 1 2 3; do
    "$@" && return 0
    echo "try $try failed: $*" >&2
    sleep $((try * 5))
  done
  return 1
}

# apt_need PACKAGE...: installs the Debian packages that are missing, without starting any service that comes with them.
apt_need() {
  local missing=() package guard=/usr/sbin/policy-rc.d made='' status=0
  for package in "$@"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
  [ ${#missing[@]} -eq 0 ] && return 0
  [ "$(id -u)" = 0 ] || die "missing Debian packages, to be installed by root: ${missing[*]}"
  if [ ! -e "$guard" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$guard" && chmod 755 "$guard" && made=yes
  fi
  { [ -e "$run/apt-updated" ] || { again apt-get -q update && touch "$run/apt-updated"; }; } &&
    DEBIAN_FRONTEND=noninteractive \
      again apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}" || status=$?
  [ -z "$made" ] || rm -f "$guard"
  [ $status = 0 ] || die "apt-get install ${missing[*]} failed"
}

# debian_source PACKAGE: unpacks the upstream tarball of a Debian source package into $cache/source/PACKAGE.
debian_source() {
  local package=$1 target=$cache/source/$1 apt=$cache/apt-source codename mirror tarball
  [ -e "$target/.complete" ] && return 0
  mkdir -p "$apt/lists/partial" "$apt/archives" "$apt/empty"
  # The release and mirror that this machine takes its own packages from.
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
    awk -v codename="$codename" '$2 == codename && $3 == "main" {print $1, $2, $3; exit}')
  [ -n "$mirror" ] || die "apt knows no Debian mirror to take the sources of $package from"
  echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror" >"$apt/sources.list"
  local options=(-q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts="$apt/empty"
    -o Dir::State::lists="$apt/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
  again apt-get "${options[@]}" update || die "apt-get update for sources failed"
  # What Debian adds to the upstream tarball is not needed, and a mirror may lack it.
  tarball() { find "$apt/archives" -name "${package}_*.orig.tar.*" ! -name '*.asc' | grep -m 1 .; }
  get() { (cd "$apt/archives" && apt-get "${options[@]}" source --download-only "$package") || tarball; }
  again get
  tarball=$(tarball)
  [ -n "$tarball" ] || die "no upstream tarball of the Debian source package $package"
  rm -rf "$target" && mkdir -p "$target" && tar xf "$tarball" -C "$target" --strip-components=1 &&
    touch "$target/.complete"
}

# need_python [NAME]: a virtual environment, as $python: that of programs/python/requirements.txt, or requirements-NAME.txt.
need_python() {
  local requirements=$clients/programs/python/requirements${1:+-$1}.txt environment=$cache/python${1:+-$1} mark
  python=$environment/bin/python
  mark=$environment/complete-$(cat "$requirements" | cksum | tr -d ' ')
  [ -e "$mark" ] && return 0
  rm -rf "$environment"
  python3 -m venv "$environment" && again "$python" -m pip install -q -r "$requirements" && touch "$mark" ||
    die "the Python environment could not be made"
}

# pypi_source NAME: unpacks the source distribution of a package, in the version of requirements.txt, and sets $source.
pypi_source() {
  local version downloads=$cache/pypi
  version=$(sed -n "s/^$1==//p" "$clients/programs/python/requirements.txt")
  source=$cache/source/$1-$version
  [ -e "$source/.complete" ] && return 0
  again "$python" -m pip download -q --no-binary "$1" --no-deps -d "$downloads" "$1==$version" ||
    die "pip download $1==$version failed"
  rm -rf "$source" && mkdir -p "$source" && tar xf "$downloads/$1-$version.tar.gz" -C "$source" --strip-components=1 &&
    touch "$source/.complete"
}

# crate_source NAME VERSION: unpacks a crate as it was published, its tests with it, and sets $source.
crate_source() {
  local fetch=$cache/crates/$1-$2 manifest
  source=$cache/source/$1-$2
  [ -e "$source/.complete" ] && return 0
  mkdir -p "$fetch/src" && : >"$fetch/src/lib.rs" || return
  printf '%s\n' '[package]' 'name = "fetch"' 'edition = "2024"' '[dependencies]' "$1 = \"=$2\"" '[workspace]' \
    >"$fetch/Cargo.toml"
  manifest=$(cd "$fetch" && again cargo fetch -q && cargo metadata --offline --format-version 1 |
    python3 -c 'import json, sys
print(next(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == sys.argv[1]))' "$1")
  [ -n "$manifest" ] || die "no source of the crate $1 $2"
  rm -rf "$source" && cp -r "$(dirname "$manifest")" "$source" && chmod -R u+w "$source" && touch "$source/.complete"
}

# own_broker OPTION...: another Leveret for the rest of the suite, started in a way that `run` does not, at $AMQP_URL.
own_broker() {
  local address
  read -r -t 60 _ _ _ address _ < <(exec "$LEVERET" --in-memory --listen 127.0.0.1:0 --http off --metrics off "$@")
  [[ $address = amqp=* ]] && export AMQP_URL=amqp://guest:guest@${address#amqp=}
}

# need_demo: the demo's program, which `run` has built.
need_demo() { [ -n "${CRUNCHER_DEMO:-}" ] || die "no program cruncher-demo"; }

# Verdicts: one line "PASS id", "FAIL id" or "SKIP id" in $verdicts for each thing that was checked.
verdict() { echo "$1 $2" >>"$verdicts"; echo "== $1 $2"; }

# passes ID COMMAND...: the command ends with success, within a bound that only a hanging one meets.
passes() {
  local id=$1
  shift
  if timeout --foreground -k 5 180 "$@"; then verdict PASS "$id"; else verdict FAIL "$id"; fi
}

# refuses ID COMMAND...: the command ends with a failure of its own.
refuses() {
  local id=$1 status=0
  shift
  timeout --foreground -k 5 60 "$@" || status=$?
  if [ $status != 0 ] && [ $status -lt 124 ]; then verdict PASS "$id"; else verdict FAIL "$id"; fi
}

# holds ID COMMAND...: the same for a function or a test of the shell, without the bound.
holds() { if "${@:2}"; then verdict PASS "$1"; else verdict FAIL "$1"; fi; }

# equals ID GOT EXPECTED
equals() {
  if [ "$2" = "$3" ]; then verdict PASS "$1"; else echo "got '$2', expected '$3'"; verdict FAIL "$1"; fi
}

# pytest_verdicts ARGUMENT...: runs pytest, and takes its verdicts from its report.
pytest_verdicts() {
  timeout --foreground -k 5 "${pytest_limit_s:-600}" "$python" -m pytest -q -p no:cacheprovider --timeout 60 -W ignore \
    --junitxml="$work/report.xml" "$@"
  "$python" "$clients/junit2lines.py" "$work/report.xml" >>"$verdicts"
}

# baseline NAME: every id in baseline/NAME.txt must have passed; what RabbitMQ does not pass either does not count.
baseline() {
  local passed id
  cp "$verdicts" "$verdicts.all"
  passed=$(comm -23 <(sed -n 's/^PASS //p' "$verdicts" | sort -u) <(sed -n 's/^FAIL //p' "$verdicts" | sort -u))
  {
    sed 's/^/PASS /' <<<"$passed" | grep -v '^PASS $'
    comm -13 <(echo "$passed") <(grep -v '^#' "$clients/baseline/$1.txt" | sort -u) | sed 's/^/FAIL /'
    grep '^SKIP ' "$verdicts"
  } >"$verdicts.compared"
  mv "$verdicts.compared" "$verdicts"
}

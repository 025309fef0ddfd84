"""Builds what is compared, and the load generator."""

import json
import os
import subprocess
from pathlib import Path

from systems import Trouble

REPOSITORY = Path(__file__).resolve().parent.parent.parent
BUILD = REPOSITORY / "target/compare/build"


def build(command, folder=REPOSITORY):
    print("$", *command, flush=True)
    if subprocess.run([str(word) for word in command], cwd=folder).returncode:
        raise Trouble(f"{' '.join(map(str, command))} failed in {folder}")


def leveret():
    """The program, and the commit that it was built from if that can be told."""
    if program := os.environ.get("LEVERET"):
        if not os.access(program, os.X_OK):
            raise Trouble(f"LEVERET={program} is no program")
        return Path(program).resolve(), ""
    build(["cargo", "build", "--release", "--locked", "-p", "leveret", "--bin", "leveret"])
    metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"]
    target = json.loads(subprocess.check_output(metadata, cwd=REPOSITORY))["target_directory"]
    describe = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    commit = subprocess.run(describe, cwd=REPOSITORY, capture_output=True, text=True).stdout.strip()
    return Path(target, "release/leveret"), commit


def copy_sources(source, name):
    """Copies what has changed: the sources may lie where nothing can be written. They are no part of the workspace around."""
    for path in source.rglob("*"):
        inside = path.relative_to(source)
        if not path.is_file() or "target" in inside.parts:
            continue
        copy, content = BUILD / name / inside, path.read_bytes()
        if inside == Path("Cargo.toml"):
            content += b"\n[workspace]\n"
        if not copy.exists() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)


def tool(program, source, *beside):
    """A program of the load generator's or the sketch's, built apart if it is not built where it is; `beside` are other sources
    that it is built with."""
    built = source / "target/release" / program
    if built.exists():
        return built.resolve()
    for folder in (source, *beside):
        if not (folder / "Cargo.toml").exists():
            raise Trouble(f"no {program}: there is no {folder}/Cargo.toml")
        copy_sources(folder, folder.name)
    home = BUILD / source.name
    build(["cargo", "build", "--release", "--bin", program, "--target-dir", home / "target"], home)
    return home / "target/release" / program

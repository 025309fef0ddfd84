# A Celery application under load for $LOAD_S seconds; its worker is killed, and a broker of the suite's own loses its memory.
prepare() { need_python; }

check() { passes load "$python" "$clients/programs/python/celery-load/load.py" "${LOAD_S:-20}"; }

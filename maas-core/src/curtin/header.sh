#!/bin/sh
# Installs an operating system with curtin: unpacks the configuration that follows the marker
# line, finds curtin, and runs it. What goes wrong before curtin can report is reported here.
umask 077
work=$(mktemp -d /tmp/curtin-installer.XXXXXX) || exit 1

give_up() {
    echo "curtin-installer: $1" >&2
    if [ -f "$work/report.json" ] && command -v python3 >/dev/null 2>&1; then
        python3 "$work/report.py" "$work/report.json" "$1" ||
            echo "curtin-installer: the failure could not be reported" >&2
    fi
    exit 1
}

sed '1,/^_____PAYLOAD_____$/d' "$0" | base64 -d >"$work/payload.tar.gz" ||
    give_up "the payload is damaged"
tar -xzf "$work/payload.tar.gz" -C "$work" || give_up "the payload cannot be unpacked"
rm -f "$work/payload.tar.gz"
cd "$work" || give_up "the working directory is gone"

curtin=
if [ -f curtin-pack.tar ]; then
    mkdir curtin && tar -xf curtin-pack.tar -C curtin ||
        give_up "the operator's curtin pack cannot be unpacked"
    for candidate in curtin/bin/curtin curtin/*/bin/curtin; do
        if [ -f "$candidate" ]; then
            curtin=$work/$candidate
            PYTHONPATH=${curtin%/bin/curtin}${PYTHONPATH:+:$PYTHONPATH}
            PATH=${curtin%/curtin}:$PATH
            export PYTHONPATH PATH
            break
        fi
    done
    [ -n "$curtin" ] || give_up "the operator's curtin pack has no bin/curtin"
    chmod +x "$curtin"
elif command -v curtin >/dev/null 2>&1; then
    curtin=$(command -v curtin)
elif command -v apt-get >/dev/null 2>&1; then
    echo "curtin-installer: installing curtin from this system's own archive"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update && apt-get install --assume-yes curtin
    curtin=$(command -v curtin) || give_up "curtin is not on this system, there is no operator's curtin pack, and it cannot be installed from the archive"
else
    give_up "curtin is not on this system, there is no operator's curtin pack, and there is no apt-get to install it with"
fi

set --
for config in configs/config-*.cfg; do
    set -- "$@" "--config=$config"
done
"$curtin" -v --install-deps install "$@"
result=$?
cd / && rm -rf "$work"
exit $result

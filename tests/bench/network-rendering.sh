#!/bin/sh
# Row B13: 64 interfaces as netplan, v1 and ESXi beside PyYAML and serde_json, in one run.
# Needs python3 with PyYAML for the first ratio; exits 1 when a limit is missed.
set -e
cd "$(dirname "$0")/../.."
exec cargo bench -q -p maas-netconfig --bench render

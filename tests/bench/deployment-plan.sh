#!/bin/sh
# A whole deployment plan in at most 1 ms, 10,000 of them within 10 s on one core; exits 1 when a
# limit is missed.
set -e
cd "$(dirname "$0")/../.."
exec cargo bench -q -p maas-core --bench plan

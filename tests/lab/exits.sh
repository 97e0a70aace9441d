# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# exits.sh: what the CPU switches change in the exits that the kernel's tracepoints count; see cpu-exits.sh.

tests='hlt eoi ipi'
quick=''

count_exits()	# CASE
{
	tests/lab/cpu-exits.sh "$1" >"$work/counts" 2>&1 || fail "$(cat "$work/counts")"
	sed 's/^/note: /' "$work/counts"
}

case_hlt() { count_exits hlt; }
case_eoi() { count_exits eoi; }
case_ipi() { count_exits ipi; }

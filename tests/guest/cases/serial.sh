# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# serial.sh: the serial port and where it goes.

case_serial_input()
{
	n=3000
	head -c $n /dev/urandom | od -An -v -tx1 | tr -d ' \n' | head -c $n >"$tmp/in"
	for how in '' irq; do
		$bounded "$pinvm" run "$guests/serial.elf" -m 16 -p "echo=$n $how" --debug-exit --timeout 600 \
			${chip:+--irqchip "$chip"} <"$tmp/in" >"$tmp/out" 2>"$tmp/err"
		rc=$?
		status 1
		cmp "$tmp/in" "$tmp/out" >&2 || bad "what came back ${how:+by interrupts }is not what was sent"
	done
}

case_serial_pipe()
{
	n=66000
	# shellcheck disable=SC2002
	head -c $n /dev/zero | tr '\0' A | cat | $bounded "$pinvm" run "$guests/serial.elf" -m 16 -p "sum=$n" \
		--debug-exit --timeout 600 >"$tmp/out" 2>"$tmp/err"
	rc=$?
	status 1
	says "sum $((n * 65))"
}

case_serial_file()
{
	guest serial say=hello --serial "file=$tmp/serial"
	status 1
	grep -q 'SUCCESS hello' "$tmp/serial" || bad "the file has not what was said"
	[ ! -s "$tmp/out" ] || bad "something went to standard output"
}

# What pinvm says of the end stands behind all that the guest said, however short the time between them.
case_serial_order()
{
	for i in $(seq 40); do
		$bounded "$pinvm" run "$guests/hello.elf" -m 16 --debug-exit --timeout 600 -v >"$tmp/out" 2>&1 </dev/null
		rc=$?
		status 1
		tail -n 2 "$tmp/out" | tr -d '\r' | { read -r a && [ "$a" = SUCCESS ] && read -r b && [ "${b#pinvm: }" != "$b" ]; } ||
			bad "run $i ended with '$(tail -n 2 "$tmp/out")'"
	done
}

case_serial_off()
{
	guest serial say=hello --serial off
	status 1
	[ ! -s "$tmp/out" ] || bad "something went to standard output"
}

case_serial_socket()
{
	need socat
	guest_start serial 'echo=6 say=done' --serial "socket=$tmp/sock"
	until [ -S "$tmp/sock" ]; do still_runs; done
	printf hello! | $bounded socat -t 60 - "UNIX-CONNECT:$tmp/sock" >"$tmp/talk"
	ended
	status 1
	grep -q 'hello!SUCCESS done' "$tmp/talk" || bad "the socket said '$(cat "$tmp/talk")'"
	[ ! -e "$tmp/sock" ] || bad "the socket was left behind"
}

case_serial_pty()
{
	guest_start serial 'echo=6 say=done' --serial pty
	next_line
	case $line in
	'serial: /dev/pts/'*) ;;
	*) bad "it said '$line', not where the terminal is" ;;
	esac
	tty=${line#serial: }
	exec 4<>"$tty"
	stty -F "$tty" raw -echo
	printf hello! >&4
	IFS= read -r line <&4
	exec 4<&-
	ended
	status 1
	case $line in
	'hello!SUCCESS done'*) ;;
	*) bad "the terminal said '$line'" ;;
	esac
}

# Nobody reads: neither the guest nor its end is held up.
case_serial_no_reader()
{
	mkfifo "$tmp/full"
	exec 4<>"$tmp/full"
	dd if=/dev/zero of="$tmp/full" bs=4096 count=1024 oflag=nonblock 2>/dev/null
	$bounded "$pinvm" run "$guests/serial.elf" -m 16 -p flood=5000 --debug-exit --timeout "${limit:-600}" --report "$tmp/report" \
		>"$tmp/full" 2>"$tmp/err" </dev/null
	rc=$?
	exec 4<&-
	: >"$tmp/out"
	ends 1 'guest'
}

# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# serial.sh: talking with a guest over each back end of the serial port.

tests='socket reconnect pty stdio_quit flood'
quick='stdio_quit'

parrot()
{
	guest_does <<-'END'
		stty -echo
		fact ready now
		while read -r line; do
			[ "$line" != bye ] || off
			fact heard "$line"
		done
	END
}

# Connects standard input (descriptor 5 here) and $work/serial to socat's ADDRESS.
connect()	# ADDRESS
{
	rm -f "$work/in"
	mkfifo "$work/in"
	socat -,ignoreeof "$1" <"$work/in" >>"$work/serial" 2>"$work/socat" &
	talker=$!
	more_pids="$more_pids $talker"
	exec 5>"$work/in"
}

converse()
{
	wait_for "fact: ready"
	echo "good morning" >&5
	wait_for "fact: heard good morning"
	i=0
	while [ $i -lt 5 ]; do
		i=$((i + 1))
		echo "line $i of five, long enough to need several interrupts of a 16550" >&5
		wait_for "fact: heard line $i of five, long enough to need several interrupts of a 16550"
	done
}

case_socket()
{
	need socat
	parrot
	start_raw --serial "socket=$work/sock"
	until_true 30 test -S "$work/sock" || fail "no socket"
	connect "UNIX-CONNECT:$work/sock"
	converse
	echo bye >&5
	finish 0
	[ ! -e "$work/sock" ] || fail "the socket is left behind"
}

# A client leaves, another comes; the guest never notices.
case_reconnect()
{
	need socat
	parrot
	start_raw --serial "socket=$work/sock"
	until_true 30 test -S "$work/sock" || fail "no socket"
	connect "UNIX-CONNECT:$work/sock"
	wait_for "fact: ready"
	exec 5>&-
	kill "$talker"
	wait "$talker"
	connect "UNIX-CONNECT:$work/sock"
	echo "second client" >&5
	wait_for "fact: heard second client"
	echo bye >&5
	finish 0
}

case_pty()
{
	need socat
	parrot
	start_raw --serial pty
	until_true 30 grep -q '^serial: /dev/pts/' "$work/stdout" || fail "pinvm does not name its terminal"
	connect "$(sed -n 's/^serial: //p' "$work/stdout"),raw,echo=0"
	converse
	echo bye >&5
	finish 0
}

# Ctrl-A x on a terminal asks the guest to power off, and ends it after --grace.
case_stdio_quit()
{
	need socat
	parrot
	rm -f "$work/in"
	mkfifo "$work/in"
	cat >"$work/go" <<-END
		#!/bin/sh
		exec "$pinvm" run "$kernel" -i "$work/initrd" -p "console=ttyS0 quiet" --grace 1 --timeout $limit -v --log "$work/log"
	END
	chmod +x "$work/go"
	: >"$work/serial"
	socat -,ignoreeof "EXEC:$work/go,pty,setsid,ctty,echo=0,raw" <"$work/in" >"$work/serial" 2>"$work/socat" &
	pid=$!
	exec 5>"$work/in"
	wait_for "fact: ready"
	echo "good evening" >&5
	wait_for "fact: heard good evening"
	printf '\001x' >&5
	finish ''
	grep -q "(status 14)" "$work/log" || fail "Ctrl-A x did not end it with status 14"
}

# A guest that prints much, to a file: nothing is lost, nothing out of order.
case_flood()
{
	guest_does <<-'END'
		seq 1 6000 | sed 's/^/fact: n /'
		off
	END
	boot 0
	fact n | awk '$1 != NR { exit 1 } END { exit NR != 6000 }' || fail "lines are missing or out of order"
}

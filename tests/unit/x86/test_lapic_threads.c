// SPDX-License-Identifier: Apache-2.0
/*
 * Raising from several threads while the vCPU's thread takes interrupts: each vector that was raised is delivered after
 * that at least once. wake() and sleep as a vCPU's loop has them: a word that says whether the vCPU sleeps.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

#include "tests/unit/x86/lapic_unit.h"

#define RAISERS 3
#define VECTORS 32 /* each raiser's own, spread over classes */
#if defined(__SANITIZE_THREAD__)
#define ROUNDS 2000u
#else
#define ROUNDS 100000u
#define ALARMS 10000
#endif
#define BATCH 8 /* raised by one, before it waits until it has seen all of them delivered: for ever, if one was lost */
#define FEW   (BATCH * VECTORS) /* each vector several times, whenever a raiser's first turn comes */

static _Atomic uint64_t raised[256]; /* how often, counted before it is raised */
static _Atomic uint64_t seen[256];   /* that count, when it was last delivered */
static _Atomic unsigned done;
static _Atomic bool asleep;
static _Atomic uint64_t wakes, lost;

static void wake(void *arg, unsigned index)
{
	if (atomic_exchange(&asleep, false))
		atomic_fetch_add(&wakes, 1);
}

static uint64_t no_tsc(void *arg, unsigned index)
{
	return 1;
}

static uint64_t no_ns(void *arg)
{
	return 1;
}

static uint8_t vector_of(unsigned raiser, unsigned i)
{
	return 16 + (i * RAISERS + raiser) * 2;
}

static void wait_for_all(unsigned me)
{
	for (unsigned i = 0; i < VECTORS; i++)
		while (atomic_load(&seen[vector_of(me, i)]) != atomic_load(&raised[vector_of(me, i)]))
			sched_yield();
}

static void *raiser(void *arg)
{
	unsigned me = (uintptr_t)arg;

	for (unsigned n = 1; n <= FEW || (n <= ROUNDS && (n % BATCH != 1 || !unit_enough())); n++) {
		uint8_t vector = vector_of(me, n * 7 % VECTORS);

		atomic_fetch_add(&raised[vector], 1);
		ck_assert_uint_eq(lapics_msi(set, 0xfee00000, vector | (n & 1 ? 0xc000 : 0), NULL), 1);
		if (n % BATCH == 0)
			wait_for_all(me);
	}
	atomic_fetch_add(&done, 1);
	wake(NULL, 0);
	return NULL;
}

/* Others read a TPR and a mode that change while they look. */
static void move(struct lapic *l, unsigned n)
{
	wr(0, X_TPR, n % 16 << 4);
	if (n % 8 == 0)
		wr(0, X_SVR, ON);
	lapic_timer_run(l);
}

static void take_all(struct lapic *l, unsigned n)
{
	while (lapic_pending(l) >= 0) {
		uint8_t vector = lapic_ack(l);
		uint64_t count = atomic_load(&raised[vector]);

		ck_assert_msg(count, "vector %#x was never raised", vector);
		atomic_store(&seen[vector], count);
		wr(0, X_EOI, 0);
	}
	move(l, n);
}

/* Sleep as a vCPU does: say so, look again, wait to be woken. */
static void sleep_until_woken(struct lapic *l)
{
	atomic_store(&asleep, true);
	if (lapic_wants(l) || atomic_load(&done) == RAISERS) {
		atomic_store(&asleep, false);
		return;
	}
	while (atomic_load(&asleep)) {
		if (atomic_load(&done) == RAISERS && lapic_wants(l)) /* all have ended, and nobody woke it */
			atomic_fetch_add(&lost, 1);
		sched_yield();
	}
}

START_TEST(none_is_lost)
{
	static const uint32_t id[] = {0};
	struct lapic_config cfg = {.n = 1, .id = id, .phys_bits = 40, .tsc_khz = 1,
		.ops = {.wake = wake, .eoi = fake_eoi, .tsc = no_tsc, .ns = no_ns}};
	pthread_t thread[RAISERS];
	struct lapic *l;

	ck_assert_int_eq(lapics_create(&set, &cfg), 0);
	l = lapics_at(set, 0);
	x2(0);
	for (uintptr_t i = 0; i < RAISERS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, raiser, (void *)i), 0);
	for (unsigned n = 0; atomic_load(&done) < RAISERS; n++) {
		take_all(l, n);
		wr(0, X_TPR, 0);
		if (!lapic_wants(l))
			sleep_until_woken(l);
	}
	wr(0, X_TPR, 0);
	take_all(l, 0);
	for (unsigned i = 0; i < RAISERS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned v = 0; v < 256; v++)
		ck_assert_msg(atomic_load(&seen[v]) == atomic_load(&raised[v]), "vector %#x: raised %lu times, seen %lu", v,
			(unsigned long)raised[v], (unsigned long)seen[v]);
	ck_assert_uint_eq(lost, 0);
	ck_assert(!lapic_wants(l));
	lapics_destroy(set);
}
END_TEST

#ifdef ALARMS
/*
 * The same with a raiser that comes in between any two instructions of the vCPU's thread, at vectors of the same word: its
 * signal's handler. It raises one only when the last was delivered, so that one that is lost stays so. (Not with
 * ThreadSanitizer, which holds signals back.)
 */
#define FIRST 0x41
#define LAST  0x5f
static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	for (unsigned v = FIRST + 1; v <= LAST; v++) {
		if (atomic_load(&seen[v]) != atomic_load(&raised[v]))
			continue;
		atomic_fetch_add(&raised[v], 1);
		lapics_msi(set, 0xfee00000, v, NULL);
	}
	alarms++;
}

START_TEST(none_is_lost_in_between)
{
	struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct lapic *l;

	make_x2(1);
	l = lapics_at(set, 0);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (unsigned n = 0; alarms < ALARMS; n++) {
		raised[FIRST]++;
		send_to(0, FIRST, false);
		take_all(l, n);
		wr(0, X_TPR, 0);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	take_all(l, 0);
	wr(0, X_TPR, 0);
	take_all(l, 0);
	for (unsigned v = FIRST; v <= LAST; v++)
		ck_assert_msg(seen[v] && seen[v] == raised[v], "vector %#x was lost", v);
	lapics_destroy(set);
}
END_TEST
#endif

/*
 * Two vCPUs that send each other IPIs, NMIs and lowest-priority messages while each changes what the other looks at. One
 * may have run all its rounds before the other's first: both go on until both have taken some.
 */
static _Atomic unsigned takers;

static void *vcpu(void *arg)
{
	unsigned me = (uintptr_t)arg;
	struct lapic *l = lapics_at(set, me);
	struct lapic_events ev;
	unsigned long taken = 0;

	for (unsigned n = 0; n < ROUNDS / 4 || atomic_load(&takers) < 2; n++) {
		wr(me, X_ICR, (uint64_t)!me << 32 | 0x41);
		wr(me, X_ICR, 3ULL << 32 | 1 << 11 | LAPIC_LOWEST << 8 | 0x51);
		wr(me, X_ICR, (uint64_t)!me << 32 | (n % 3 ? 5 : LAPIC_NMI << 8));
		lapic_take(l, &ev);
		ck_assert(!ev.init && !ev.sipi);
		wr(me, X_TPR, n % 4 << 4);
		wr(me, X_SVR, n % 100 ? ON : 0xff);
		while (lapic_pending(l) >= 0) {
			uint8_t vector = lapic_ack(l);

			ck_assert(vector == 0x41 || vector == 0x51);
			if (!taken++)
				atomic_fetch_add(&takers, 1);
			wr(me, X_EOI, 0);
		}
	}
	return NULL;
}

START_TEST(ipis_cross)
{
	pthread_t thread[2];

	make(2);
	for (uintptr_t i = 0; i < 2; i++) {
		started(i);
		x2(i);
	}
	for (uintptr_t i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, vcpu, (void *)i), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(takers, 2);
	lapics_destroy(set);
}
END_TEST

#ifdef ALARMS
UNIT_MAIN("lapic_threads", none_is_lost, none_is_lost_in_between, ipis_cross)
#else
UNIT_MAIN("lapic_threads", none_is_lost, ipis_cross)
#endif

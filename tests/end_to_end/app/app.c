/*
 * The instrumented application: each of its threads emits the events 0..N-1.
 *
 * Usage: app EVENTS_PER_THREAD THREADS SLEEP_US PAYLOAD_LENGTH
 */
#define _GNU_SOURCE
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "tick.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static uint64_t events_per_thread;
static useconds_t sleep_us;
static size_t payload_length;

/*
 * One thread, one processor, one stream: a trace that was cut short then holds
 * an unbroken prefix of each thread, whatever part of each stream it has.
 */
static void stay_on_one_cpu(int thread)
{
	cpu_set_t allowed, one;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return;
	int skip = thread % CPU_COUNT(&allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || skip-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
		return;
	}
}

static void *emit(void *argument)
{
	int thread = (int) (intptr_t) argument;
	char payload[payload_length + 1];

	stay_on_one_cpu(thread);
	payload[payload_length] = '\0';
	for (uint64_t seq = 0; seq < events_per_thread; seq++) {
		for (size_t i = 0; i < payload_length; i++)
			payload[i] = 'a' + (7 * (uint64_t) thread + seq + i) % 26;
		lttng_ust_tracepoint(baton, tick, thread, seq, payload);
		if (sleep_us)
			usleep(sleep_us);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: app EVENTS_PER_THREAD THREADS SLEEP_US PAYLOAD_LENGTH\n");
		return 2;
	}
	events_per_thread = strtoull(argv[1], NULL, 10);
	int threads = atoi(argv[2]);
	sleep_us = atoi(argv[3]);
	payload_length = strtoull(argv[4], NULL, 10);

	pthread_t ids[threads];
	for (int i = 0; i < threads; i++) {
		if (pthread_create(&ids[i], NULL, emit, (void *) (intptr_t) i))
			return 1;
	}
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	return 0;
}

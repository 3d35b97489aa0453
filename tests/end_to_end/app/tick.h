/*
 * The one event of the instrumented application: `baton:tick`.
 *
 * The field `payload` is derived from `thread` and `seq`, so that the reader of
 * a trace can tell a damaged event from a good one.
 */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER baton

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./tick.h"

#if !defined(TICK_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define TICK_H

#include <lttng/tracepoint.h>
#include <stdint.h>

LTTNG_UST_TRACEPOINT_EVENT(
	baton, tick,
	LTTNG_UST_TP_ARGS(int, thread, uint64_t, seq, const char *, payload),
	LTTNG_UST_TP_FIELDS(
		lttng_ust_field_integer(int, thread, thread)
		lttng_ust_field_integer(uint64_t, seq, seq)
		lttng_ust_field_string(payload, payload)
	)
)

#endif

#include <lttng/tracepoint-event.h>

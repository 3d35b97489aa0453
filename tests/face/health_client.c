/* Asks a relay for its health through LTTng's own client library, and prints the state
 * of each component. The declarations stand here since the library's headers are in
 * another package than the library. */

#include <stdio.h>

struct lttng_health;
struct lttng_health_thread;

struct lttng_health *lttng_health_create_relayd(const char *path);
int lttng_health_query(struct lttng_health *health);
int lttng_health_state(const struct lttng_health *health);
int lttng_health_get_nr_threads(const struct lttng_health *health);
const struct lttng_health_thread *
lttng_health_get_thread(const struct lttng_health *health, unsigned int number);
int lttng_health_thread_state(const struct lttng_health_thread *thread);
const char *lttng_health_thread_name(const struct lttng_health_thread *thread);

int main(int count, char **arguments)
{
	struct lttng_health *health;
	int number;

	if (count != 2)
		return 2;
	health = lttng_health_create_relayd(arguments[1]);
	if (!health || lttng_health_query(health) != 0)
		return 1;
	for (number = 0; number < lttng_health_get_nr_threads(health); number++) {
		const struct lttng_health_thread *thread =
			lttng_health_get_thread(health, number);

		printf("%d %s\n", lttng_health_thread_state(thread),
		       lttng_health_thread_name(thread));
	}
	return lttng_health_state(health) != 0;
}

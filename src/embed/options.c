/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker is like: each option is a field of the engine's configuration. */
#include "embed/internal.h"

#define PER_USER_MAX 10000000

enum unit { COUNT, USEC, WORD };

static const struct option {
        size_t at, size;
        enum unit unit;
        bool fixed; /* by the start */
        uint64_t min, max;
} options[] = {
#define FIELD(name) offsetof(struct engine_config, name), sizeof(((struct engine_config *)0)->name)
#define USEC_MAX (UINT64_MAX / NSEC_PER_USEC)
        [BUSRT_BROKER_WORKERS] = {FIELD(n_workers), COUNT, true, 1, 256},
        [BUSRT_BROKER_TIMEOUT] = {FIELD(timeout), USEC, false, 10000, UINT32_MAX *UINT64_C(1000)},
        [BUSRT_BROKER_BUSY_POLL] = {FIELD(busy_poll), USEC, false, 0, 1000000},
        [BUSRT_BROKER_QUEUE_FRAMES] = {FIELD(queue_frames), COUNT, false, 1, UINT32_MAX},
        [BUSRT_BROKER_QUEUE_BYTES] = {FIELD(queue_bytes), COUNT, false, 4096, UINT64_C(1) << 40},
        [BUSRT_BROKER_MEMORY] = {FIELD(queue_memory_max), COUNT, false, 1 << 20, UINT64_C(1) << 50},
        [BUSRT_BROKER_MEMORY_PER_USER] = {FIELD(queue_memory_max_per_user), COUNT, false, 0,
                                          UINT64_C(1) << 50},
        [BUSRT_BROKER_MAX_FRAME] = {FIELD(max_frame_size), COUNT, false, 1024, UINT32_MAX},
        [BUSRT_BROKER_MAX_TOPIC_PARTS] = {FIELD(max_topic_parts), COUNT, false, 1, 65536},
        [BUSRT_BROKER_MAX_TOPIC_LENGTH] = {FIELD(max_topic_length), COUNT, false, 1, 1 << 20},
        [BUSRT_BROKER_SLOW_PACE] = {FIELD(slow_pace), USEC, false, 0, 500000},
        [BUSRT_BROKER_SLOW_POLICY] = {FIELD(slow_policy), WORD, false, 0, SLOW_DROP_OLDEST},
        [BUSRT_BROKER_FORCE_REGISTER] = {FIELD(force_register), WORD, false, 0, FORCE_REGISTER_ANY},
        [BUSRT_BROKER_MAX_CONNECTIONS] = {FIELD(max_connections_per_user), COUNT, false, 1,
                                          PER_USER_MAX},
        [BUSRT_BROKER_MAX_HANDSHAKES] = {FIELD(max_handshakes_per_user), COUNT, false, 1,
                                         PER_USER_MAX},
        [BUSRT_BROKER_MAX_NAMES] = {FIELD(max_names_per_user), COUNT, false, 1, PER_USER_MAX},
        [BUSRT_BROKER_MAX_SUBSCRIPTIONS] = {FIELD(max_subscriptions_per_user), COUNT, false, 1,
                                            PER_USER_MAX},
        [BUSRT_BROKER_CONNECTION_RATE] = {FIELD(connection_rate_per_user), COUNT, false, 0,
                                          PER_USER_MAX},
        [BUSRT_BROKER_CONNECTION_BURST] = {FIELD(connection_burst_per_user), COUNT, false, 1,
                                           PER_USER_MAX},
};

_Static_assert((int)BUSRT_SLOW_DROP_OLDEST == (int)SLOW_DROP_OLDEST &&
                       (int)BUSRT_SLOW_DROP_NEWEST == (int)SLOW_DROP_NEWEST &&
                       (int)BUSRT_FORCE_REGISTER_ANY == (int)FORCE_REGISTER_ANY &&
                       (int)BUSRT_FORCE_REGISTER_SAME_IDENTITY == (int)FORCE_REGISTER_SAME_IDENTITY,
               "the public words are the engine's");

static const struct option *find(int number)
{
        return number >= 0 && (size_t)number < ARRAY_SIZE(options) ? &options[number] : NULL;
}

static uint64_t load(const struct engine_config *config, const struct option *o)
{
        const uint8_t *field = (const uint8_t *)config + o->at;
        uint64_t wide;
        uint32_t narrow;

        if (o->size == sizeof(wide)) {
                memcpy(&wide, field, sizeof(wide));
                return o->unit == USEC ? wide / NSEC_PER_USEC : wide;
        }
        memcpy(&narrow, field, sizeof(narrow));
        return narrow;
}

static void store(struct engine_config *config, const struct option *o, uint64_t value)
{
        uint8_t *field = (uint8_t *)config + o->at;
        uint64_t wide = o->unit == USEC ? value * NSEC_PER_USEC : value;
        uint32_t narrow = (uint32_t)value;

        memcpy(field, o->size == sizeof(wide) ? (const void *)&wide : (const void *)&narrow,
               o->size);
}

static void apply(struct engine *engine, void *userdata)
{
        engine_configure_now(engine, userdata);
}

static int set(busrt_broker *b, const struct option *o, uint64_t value)
{
        if (b->engine && o->fixed)
                return -EBUSY;
        store(&b->config, o, value);
        if (b->engine)
                engine_visit(b->engine, apply, &b->config);
        return 0;
}

PUBLIC int busrt_broker_set(busrt_broker *broker, enum busrt_broker_option option, uint64_t value)
{
        const struct option *o = find((int)option);
        int r;

        if (!broker || !o || value < o->min || value > o->max)
                return -EINVAL;
        pthread_mutex_lock(&broker->lock);
        r = set(broker, o, value);
        pthread_mutex_unlock(&broker->lock);
        return r;
}

PUBLIC int busrt_broker_get(busrt_broker *broker, enum busrt_broker_option option, uint64_t *ret)
{
        const struct option *o = find((int)option);

        if (!broker || !o || !ret)
                return -EINVAL;
        pthread_mutex_lock(&broker->lock);
        *ret = load(&broker->config, o);
        pthread_mutex_unlock(&broker->lock);
        return 0;
}

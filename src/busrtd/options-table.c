/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/clock.h"
#include "busrtd/options-table.h"

#define TO(field) offsetof(struct options, field)
#define HEADING(text)                                                                              \
        {                                                                                          \
                .kind = OPTION_HEADING, .help = text                                               \
        }

#define PER_USER_MAX 10000000
#define WITHOUT_EFFECT_MAX (1LL << 40)

/* By the numbers of their enums. */
static const char *const policies[] = {"disconnect", "drop-newest", "drop-oldest", NULL};
static const char *const force_modes[] = {"no", "same-identity", "any", NULL};
static const char *const dbus_modes[] = {"auto", "system", "user", "off", NULL};

_Static_assert(SLOW_DISCONNECT == 0 && SLOW_DROP_NEWEST == 1 && SLOW_DROP_OLDEST == 2, "policies");
_Static_assert(FORCE_REGISTER_NO == 0 && FORCE_REGISTER_SAME_IDENTITY == 1 &&
                       FORCE_REGISTER_ANY == 2,
               "force_modes");
_Static_assert(DBUS_AUTO == 0 && DBUS_SYSTEM == 1 && DBUS_USER == 2 && DBUS_OFF == 3, "dbus_modes");

const struct option_row option_rows[] = {
        HEADING("Listening"),
        {OPTION_BIND, 'B', "bind", "ADDRESS",
         "path of a UNIX socket, HOST:PORT, [IPV6]:PORT or fifo:PATH;\n"
         "may be repeated. A path begins with / or ends in .sock,\n"
         ".socket or .ipc",
         0, .at_start = true, .key = "Listen"},
        HEADING("Process"),
        {OPTION_FLAG, 'D', NULL, NULL, "go into the background once the listeners are ready",
         TO(daemonize)},
        {OPTION_TEXT, 'P', "pid-file", "PATH", "write the process id there", TO(pid_file)},
        {OPTION_FLAG, 0, "verbose", NULL,
         "log every client that comes and goes, to stderr unless -D", TO(verbose)},
        {OPTION_FLAG, 0, "log-syslog", NULL, "log to the journal or syslog instead of stderr",
         TO(log_syslog)},
        {OPTION_WORD, 0, "dbus", "WHERE", "offer org.busrt1 on the bus auto, system, user or off",
         TO(dbus), .words = dbus_modes, .at_start = true, .key = "DBus"},
        {OPTION_DBUS_NAME, 0, "dbus-name", "NAME", "the name taken there", TO(dbus_name),
         .at_start = true, .key = "DBusName"},
        HEADING("Configuration"),
        {OPTION_TEXT, 0, "config", "FILE",
         "read only this file and FILE.d/*.conf; without it\n"
         "busrtd.conf in /etc/busrt, /run/busrt and so on, see\n"
         "busrtd.conf(5)",
         TO(config_file)},
        {OPTION_FLAG, 0, "check-config", NULL,
         "print what differs from the built-in values, and from where", TO(check_config)},
        HEADING("Clients"),
        {OPTION_SECONDS, 't', NULL, "SECONDS",
         "timeout of keep-alive, handshake and blocked clients", TO(engine.timeout),
         .key = "TimeoutSec"},
        {OPTION_WORD, 0, "force-register", "MODE",
         "a new client takes the name of an old one over: no,\n"
         "same-identity (of the same user or address) or any, which\n"
         "is meant without MODE",
         TO(engine.force_register), .words = force_modes, .without_value = "any",
         .key = "ForceRegister"},
        HEADING("Limits for each user, or each address on TCP"),
        {OPTION_COUNT, 0, "max-connections-per-user", "N", "connections",
         TO(engine.max_connections_per_user), 1, PER_USER_MAX, .key = "MaxConnectionsPerUser"},
        {OPTION_COUNT, 0, "max-handshakes-per-user", "N", "connections that have no name yet",
         TO(engine.max_handshakes_per_user), 1, PER_USER_MAX, .key = "MaxHandshakesPerUser"},
        {OPTION_COUNT, 0, "max-names-per-user", "N", "names of clients",
         TO(engine.max_names_per_user), 1, PER_USER_MAX, .key = "MaxNamesPerUser"},
        {OPTION_COUNT, 0, "max-subscriptions-per-user", "N",
         "subscriptions and exclusions of all its clients", TO(engine.max_subscriptions_per_user),
         1, PER_USER_MAX, .key = "MaxSubscriptionsPerUser"},
        {OPTION_COUNT, 0, "connection-rate-per-user", "N", "new connections per second, 0: any",
         TO(engine.connection_rate_per_user), 0, PER_USER_MAX, .key = "ConnectionRatePerUser"},
        {OPTION_COUNT, 0, "connection-burst-per-user", "N",
         "so many at once before the rate counts", TO(engine.connection_burst_per_user), 1,
         PER_USER_MAX, .key = "ConnectionBurstPerUser"},
        {OPTION_SIZE, 0, "queue-memory-max-per-user", "SIZE", "of --queue-memory-max [half of it]",
         TO(engine.queue_memory_max_per_user), 1 << 20, 1LL << 50, .key = "QueueMemoryMaxPerUser"},
        HEADING("Slow receivers"),
        {OPTION_COUNT, 0, "queue-size", "N", "a client's queue is full at N frames",
         TO(engine.queue_frames), 1, UINT32_MAX, .key = "QueueFrames"},
        {OPTION_SIZE, 0, "queue-bytes", "SIZE", "or at so many bytes", TO(engine.queue_bytes), 4096,
         1LL << 40, .key = "QueueBytes"},
        {OPTION_DURATION, 0, "slow-pace", "MSEC", "how long senders wait for a full queue",
         TO(engine.slow_pace), 0, 500, NSEC_PER_MSEC, .key = "SlowConsumerPaceSec"},
        {OPTION_WORD, 0, "slow-policy", "POLICY", "then: disconnect, drop-newest or drop-oldest",
         TO(engine.slow_policy), .words = policies, .key = "SlowConsumerPolicy"},
        {OPTION_SIZE, 0, "queue-memory-max", "SIZE", "all queues together",
         TO(engine.queue_memory_max), 1 << 20, 1LL << 50, .key = "QueueMemoryMax"},
        HEADING("Frames"),
        {OPTION_SIZE, 0, "max-frame-size", "SIZE", "longest body of a frame",
         TO(engine.max_frame_size), 1024, UINT32_MAX, .key = "MaxFrameSize"},
        {OPTION_COUNT, 0, "max-topic-parts", "N", "parts of a topic or mask",
         TO(engine.max_topic_parts), 1, 65536, .key = "MaxTopicParts"},
        {OPTION_SIZE, 0, "max-topic-length", "SIZE", "length of a topic or mask",
         TO(engine.max_topic_length), 1, 1 << 20, .key = "MaxTopicLength"},
        HEADING("Threads and latency"),
        {OPTION_COUNT, 'w', "workers", "N", "threads that serve clients", TO(engine.n_workers), 1,
         ENGINE_WORKERS_MAX, .at_start = true, .key = "Workers"},
        {OPTION_DURATION, 0, "busy-poll", "USEC",
         "look for more work that long before sleeping;\n"
         "costs CPU",
         TO(engine.busy_poll), 0, 1000000, NSEC_PER_USEC, .key = "BusyPollUSec"},
        {OPTION_FLAG, 0, "real-time", NULL,
         "lock all memory, take and touch what messages need\n"
         "beforehand, let locks inherit priority",
         TO(engine.real_time), .at_start = true, .key = "RealTime"},
        {OPTION_SIZE, 0, "real-time-reserve", "SIZE", "buffers that lie ready then",
         TO(engine.real_time_reserve), 0, 1LL << 40, .at_start = true, .key = "RealTimeReserve"},
        HEADING("Taken for the reference's sake, without effect here"),
        {OPTION_COUNT, 0, "buf-size", "BYTES", "buffers follow the traffic", TO(without_effect), 0,
         WITHOUT_EFFECT_MAX},
        {OPTION_COUNT, 0, "buf-ttl", "USEC", "every pass of a worker ends with a flush",
         TO(without_effect), 0, WITHOUT_EFFECT_MAX},
        HEADING("Help"),
        {OPTION_HELP, 'h', "help", NULL, "this text", 0},
        {OPTION_VERSION, 'V', "version", NULL, "the version", 0},
};

const size_t option_n_rows = ARRAY_SIZE(option_rows);

_Static_assert(ARRAY_SIZE(option_rows) <= OPTIONS_ROWS_MAX, "a bit for each");

size_t option_field_size(const struct option_row *row)
{
        switch (row->kind) {
        case OPTION_FLAG:
                return sizeof(bool);
        case OPTION_COUNT:
        case OPTION_SIZE:
                return sizeof(size_t);
        case OPTION_SECONDS:
        case OPTION_DURATION:
                return sizeof(uint64_t);
        case OPTION_WORD:
                return sizeof(unsigned);
        case OPTION_DBUS_NAME:
                return sizeof(const char *);
        default:
                return 0;
        }
}

void options_init(struct options *ret)
{
        *ret = (struct options){.dbus = DBUS_AUTO, .dbus_name = "org.busrt1"};
        engine_config_init(&ret->engine);
        ret->engine.exempt[0] = 0;
        ret->engine.exempt[1] = geteuid();
        ret->engine.n_exempt = 2;
}

const char *options_slow_policy_word(enum slow_policy policy)
{
        return policies[policy];
}

const char *options_force_register_word(enum force_register force)
{
        return force_modes[force];
}

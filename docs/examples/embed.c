/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker inside a program. Its client ".plant" says what may be done to a tank, its client
 * "gauge" prints how full that is; both are in this process, on a thread each. All others come by a
 * UNIX socket: they may call ".plant" and hear of the tank, but say nothing of it themselves.
 *
 *      embed SOCKET                    until SIGINT or SIGTERM
 *
 *      fill {litres}   {level}, which is also published on tank/level
 *      level           {level}
 *
 *      busrtctl -s SOCKET rpc call .plant fill litres=5
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <busrt/broker.h>
#include <busrt/msgpack.h>
#include <busrt/rpc.h>
#include <busrt/topics.h>

#define TANK 1000 /* litres */

struct plant {
        busrt_broker *broker;
        busrt_client *client; /* ".plant" */
        busrt_client *gauge;
        int64_t level; /* its methods', which run one at a time */
};

/* --- The client ".plant" --- */

static int reply_level(const struct plant *plant, busrt_request *request)
{
        busrt_params result = BUSRT_PARAMS_INIT;
        const struct iovec *iov;
        int r;

        busrt_params_add_int(&result, "level", plant->level);
        r = busrt_params_get(&result, &iov);
        if (r >= 0)
                r = busrt_request_reply(request, iov, (size_t)r);
        busrt_params_done(&result);
        return r;
}

static int publish_level(const struct plant *plant)
{
        char text[32];
        struct iovec iov = {text, 0};

        iov.iov_len = (size_t)snprintf(text, sizeof(text), "%lld", (long long)plant->level);
        return busrt_client_publish(plant->client, "tank/level", &iov, 1, 0, NULL);
}

static int method_level(busrt_client *client, busrt_request *request, void *userdata)
{
        return reply_level(userdata, request);
}

static int method_fill(busrt_client *client, busrt_request *request, void *userdata)
{
        struct plant *plant = userdata;
        msgpack_unpacked params;
        size_t len;
        const void *data = busrt_request_get_params(request, &len);
        int64_t litres;
        int r = busrt_unpack(data, len, &params);

        if (r < 0)
                return r;
        r = busrt_map_get_int(&params.data, "litres", &litres);
        msgpack_unpacked_destroy(&params);
        if (r < 0)
                return BUSRT_RPC_INVALID_PARAMS;
        if (litres < -plant->level || litres > TANK - plant->level)
                return -ERANGE;
        plant->level += litres;
        r = publish_level(plant);
        return r < 0 ? r : reply_level(plant, request);
}

static int make_plant(struct plant *plant)
{
        const busrt_method methods[] = {
                {"fill", method_fill, plant, 0},
                {"level", method_level, plant, 0},
        };
        int r = busrt_client_new_for_stream(".plant", &plant->client);

        if (r >= 0)
                r = busrt_client_add_methods(plant->client, methods, 2);
        return r < 0 ? r : busrt_broker_connect(plant->broker, plant->client);
}

/* --- The client "gauge" --- */

static void on_level(busrt_client *client, busrt_frame *frame, const char *mask, void *userdata)
{
        size_t len;
        const char *text = busrt_frame_get_payload(frame, &len);

        printf("%.*s of %d litres\n", (int)len, text, TANK);
        fflush(stdout);
}

/* Calls of clients in this process are answered though the broker is not at work yet. */
static int make_gauge(struct plant *plant)
{
        int r = busrt_client_new("gauge", &plant->gauge);

        if (r >= 0)
                r = busrt_broker_connect(plant->broker, plant->gauge);
        return r < 0 ? r
                     : busrt_client_subscribe_handler(plant->gauge, "tank/#", on_level, NULL,
                                                      BUSRT_QOS_PROCESSED, NULL);
}

/* --- The broker --- */

static int on_question(busrt_broker *broker, const busrt_broker_question *question, void *userdata)
{
        if (question->peer->local)
                return 0;
        switch (question->action) {
        case BUSRT_ACTION_BROADCAST:
                return -EACCES;
        case BUSRT_ACTION_PUBLISH:
                return question->target_len >= 5 && memcmp(question->target, "tank/", 5) == 0
                               ? -EACCES
                               : 0;
        default:
                return 0;
        }
}

static void on_event(busrt_broker *broker, const busrt_broker_event *event, void *userdata)
{
        if (!event->peer.local)
                fprintf(stderr, "%s: %s\n", event->name, event->detail);
}

static int make_broker(struct plant *plant, const char *path)
{
        int r = busrt_broker_new(&plant->broker);

        if (r >= 0)
                r = busrt_broker_set_access_handler(plant->broker, on_question, NULL);
        if (r >= 0)
                r = busrt_broker_set_event_handler(plant->broker, on_event, NULL);
        return r < 0 ? r : busrt_broker_listen(plant->broker, path, 0600);
}

/* --- The program --- */

/* Until the broker goes. */
static void *serve(void *client)
{
        (void)busrt_client_run(client);
        return NULL;
}

static int run(struct plant *plant, const sigset_t *signals)
{
        pthread_t threads[2];
        busrt_client *clients[2] = {plant->client, plant->gauge};
        int r = busrt_broker_start(plant->broker), n = 0, number;

        for (; r >= 0 && n < 2; n++) {
                r = -pthread_create(&threads[n], NULL, serve, clients[n]);
                if (r < 0)
                        break;
        }
        if (r >= 0) {
                fprintf(stderr, "ready\n");
                sigwait(signals, &number);
        }
        plant->broker = busrt_broker_free(plant->broker);
        while (n > 0)
                pthread_join(threads[--n], NULL);
        return r;
}

int main(int argc, char **argv)
{
        struct plant plant = {0};
        sigset_t signals;
        int r;

        if (argc != 2) {
                fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
                return 2;
        }
        sigemptyset(&signals);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &signals, NULL);
        r = make_broker(&plant, argv[1]);
        if (r >= 0)
                r = make_plant(&plant);
        if (r >= 0)
                r = make_gauge(&plant);
        if (r >= 0)
                r = run(&plant, &signals);
        busrt_client_free(plant.gauge);
        busrt_client_free(plant.client);
        busrt_broker_free(plant.broker);
        if (r < 0)
                fprintf(stderr, "%s: %s\n", argv[1], busrt_strerror(r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

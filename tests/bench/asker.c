/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asker: asks org.busrt1 again and again over one connection to D-Bus, and reads nothing of the
 * answers, so that it costs little itself. Prints how often it was answered, and how long the
 * slowest answer took.
 *
 *      asker ADDRESS list|get COUNT INTERVAL_USEC [PATH]
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#define NAME "org.busrt1"

static unsigned long long now_usec(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (unsigned long long)ts.tv_sec * 1000000 + (unsigned long long)ts.tv_nsec / 1000;
}

static void wait_until(unsigned long long usec)
{
        struct timespec ts = {(time_t)(usec / 1000000), (long)(usec % 1000000 * 1000)};

        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
                ;
}

static int ask(sd_bus *bus, const char *path)
{
        sd_bus_message *reply = NULL;
        int r;

        if (path)
                r = sd_bus_call_method(bus, NAME, path, "org.freedesktop.DBus.Properties", "GetAll",
                                       NULL, &reply, "s", "org.busrt1.Client");
        else
                r = sd_bus_call_method(bus, NAME, "/org/busrt1", "org.busrt1.Manager",
                                       "ListClients", NULL, &reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

static int connect_to(const char *address, sd_bus **ret)
{
        int r = sd_bus_new(ret);

        if (r >= 0)
                r = sd_bus_set_address(*ret, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(*ret, true);
        return r < 0 ? r : sd_bus_start(*ret);
}

int main(int argc, char **argv)
{
        unsigned long long next, slowest = 0, answered = 0, count, interval;
        sd_bus *bus = NULL;
        int r;

        if (argc < 5 || (strcmp(argv[2], "get") == 0) != (argc == 6)) {
                fprintf(stderr, "Usage: asker ADDRESS list|get COUNT INTERVAL_USEC [PATH]\n");
                return 2;
        }
        count = strtoull(argv[3], NULL, 10);
        interval = strtoull(argv[4], NULL, 10);
        r = connect_to(argv[1], &bus);
        next = now_usec();
        for (unsigned long long i = 0; r >= 0 && i < count; i++) {
                unsigned long long began = now_usec();

                r = ask(bus, argc == 6 ? argv[5] : NULL);
                if (r < 0)
                        break;
                answered++;
                if (now_usec() - began > slowest)
                        slowest = now_usec() - began;
                next += interval;
                wait_until(next);
        }
        sd_bus_unref(bus);
        if (r < 0)
                fprintf(stderr, "asker: %s\n", strerror(-r));
        printf("{\"answered\": %llu, \"slowest_us\": %llu}\n", answered, slowest);
        return r < 0;
}

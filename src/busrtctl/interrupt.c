/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGINT and SIGTERM for verbs that go on until they are told to stop. The handler writes to an
 * eventfd, which is polled with everything else: a signal that comes just before the poll is not
 * lost.
 */
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "basic/macro.h"
#include "busrtctl/busrtctl.h"

/* A signal handler has nowhere else to look. */
static int event_fd = -1;
static volatile sig_atomic_t caught;
static void (*last_act)(void);

static void on_signal(int number)
{
        static const uint64_t one = 1;
        int saved = errno;

        if (caught && last_act) {
                last_act();
                (void)signal(number, SIG_DFL);
                (void)raise(number);
                return;
        }
        caught = 1;
        if (write(event_fd, &one, sizeof(one)) < 0)
                caught = 1;
        errno = saved;
}

int catch_interrupts(void)
{
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

        if (event_fd >= 0)
                return 0;
        event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (event_fd < 0 || sigaction(SIGINT, &action, NULL) < 0 ||
            sigaction(SIGTERM, &action, NULL) < 0)
                return -errno;
        return 0;
}

int catch_all_interrupts(void (*last)(void))
{
        static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
        struct sigaction action = {.sa_handler = on_signal};
        int r = catch_interrupts();

        last_act = last;
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(numbers); i++)
                if (sigaction(numbers[i], &action, NULL) < 0)
                        r = -errno;
        return r;
}

bool interrupted(void)
{
        return caught;
}

int interrupt_fd(void)
{
        return event_fd;
}

/* How long to poll for: the caller's time and the client's, whichever ends first. */
static struct timespec poll_time(uint64_t now, uint64_t end, uint64_t wanted)
{
        uint64_t until = MIN(end, wanted), span = until > now ? until - now : 0;

        span = MIN(span, UINT64_C(1000000) * 3600);
        return (struct timespec){.tv_sec = (time_t)(span / 1000000),
                                 .tv_nsec = (long)(span % 1000000) * 1000};
}

int wait_client(busrt_client *client, uint64_t timeout)
{
        struct pollfd fds[] = {
                {.fd = busrt_client_get_fd(client), .events = POLLIN},
                {.fd = event_fd, .events = POLLIN},
        };
        uint64_t now = now_usec(), wanted = UINT64_MAX;
        uint64_t end = timeout > UINT64_MAX - now ? UINT64_MAX : now + timeout;

        while (!interrupted()) {
                struct timespec span;

                (void)busrt_client_get_timeout(client, &wanted);
                span = poll_time(now, end, wanted);
                if (ppoll(fds, ARRAY_SIZE(fds), &span, NULL) > 0 && fds[0].revents)
                        return 1;
                now = now_usec();
                if (now >= wanted)
                        return 1;
                if (now >= end)
                        return 0;
        }
        return -EINTR;
}

int process_until(busrt_client *client, uint64_t end, const bool *done)
{
        uint64_t now = now_usec();
        int r = 0;

        while (r >= 0 && now < end && !(done && *done)) {
                r = wait_client(client, end - now);
                while (r > 0)
                        r = busrt_client_process(client);
                now = now_usec();
        }
        return r;
}

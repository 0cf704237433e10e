/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "basic/macro.h"
#include "busrtctl/agent.h"

#define AGENT "pkttyagent"
#define START_MSEC 5000

/* In the child. The agent closes the descriptor once it can be asked. */
static void run_agent(int notify_fd, pid_t parent)
{
        char number[16];

        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent || fcntl(notify_fd, F_SETFD, 0) < 0)
                _exit(EXIT_FAILURE);
        (void)snprintf(number, sizeof(number), "%d", notify_fd);
        /* --fallback: where the desktop has an agent, that one asks. */
        (void)execlp(AGENT, AGENT, "--notify-fd", number, "--fallback", (char *)NULL);
        _exit(EXIT_FAILURE);
}

pid_t agent_start(void)
{
        struct pollfd poll_fd = {.events = POLLIN};
        pid_t self = getpid(), pid;
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return 0;
        pid = fork();
        if (pid == 0)
                run_agent(fds[1], self);
        (void)close_fd(fds[1]);
        poll_fd.fd = fds[0];
        if (pid > 0)
                (void)poll(&poll_fd, 1, START_MSEC);
        (void)close_fd(fds[0]);
        return pid > 0 ? pid : 0;
}

void agent_stop(pid_t pid)
{
        if (pid <= 0)
                return;
        (void)kill(pid, SIGTERM);
        (void)kill(pid, SIGCONT);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

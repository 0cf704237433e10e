/* SPDX-License-Identifier: Apache-2.0 */
/* busrtd: reads the command line, goes into the background where it was told to, and runs the
 * broker. */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>

#include "access/rules.h"
#include "basic/macro.h"
#include "busrtd/background.h"
#include "busrtd/daemon.h"
#include "busrtd/log-sink.h"
#include "busrtd/messages.h"
#include "busrtd/real-time.h"

/* Large buffers go back to the system when they are freed, threads do not hoard arenas of their
 * own, and the top of the heap is given back in pieces that are worth a system call. */
static void tune_malloc(void)
{
        (void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
        (void)mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
        (void)mallopt(M_ARENA_MAX, 2);
}

/* Where these are closed, a client's socket would become stderr, and be sent the log. */
static void open_standard_descriptors(void)
{
        int fd;

        do
                fd = open("/dev/null", O_RDWR);
        while (fd >= 0 && fd < 3);
        close_fd(fd);
}

/* 0: go on here. 1: this process is done, with *ret_status. */
static int go_into_background(const struct options *options, int *ret_ready_fd, int *ret_status)
{
        int r = options->daemonize ? background_start(ret_ready_fd, ret_status) : 0;

        if (r >= 0)
                return r;
        (void)fprintf(stderr, "busrtd: cannot go into the background: %s\n", strerrordesc_np(-r));
        *ret_status = EXIT_FAILURE;
        return 1;
}

/* There is no log yet: one record to the journal where stderr would end there, else a line. */
static int refuse_config(const struct options *options, const char *error, int r)
{
        struct log_record record;
        struct log_sink sink;

        message_config_refused(&record, error[0] ? error : strerrordesc_np(-r),
                               &options->config.failed_at);
        log_sink_init(&sink, LOG_TARGET_JOURNAL);
        if (!log_stderr_is_journal() || !log_sink_write(&sink, &record))
                (void)fprintf(stderr, "busrtd: %s\n", record.text);
        log_sink_linger(&sink);
        return r == -ENOMEM ? EXIT_FAILURE : EXIT_USAGE;
}

static int check_config(const struct options *options)
{
        const struct config_entry *entry;
        struct log_record record;
        size_t i = 0;

        while ((entry = options_next_unknown(options, &i))) {
                message_unknown_key(&record, entry);
                (void)fprintf(stderr, "busrtd: %s\n", record.text);
        }
        options_print_effective(options, stdout);
        if (access_rules_n_sections(options->engine.access) > 0) {
                message_access_rules(&record, options->engine.access);
                (void)printf("# %s\n", record.text);
        }
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
        _cleanup_(passed_sockets_done) struct passed_sockets passed = {0};
        _cleanup_(options_done) struct options options = {0};
        char error[OPTIONS_ERROR_MAX];
        int r, status, ready_fd = -1;

        open_standard_descriptors();
        tune_malloc();
        r = options_parse(argc, argv, stdout, &options, error);
        if (r > 0)
                return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        if (r < 0) {
                (void)fprintf(stderr, "busrtd: %s\n", error[0] ? error : strerrordesc_np(-r));
                return EXIT_USAGE;
        }
        r = options_read_config(&options, error);
        if (r < 0)
                return refuse_config(&options, error, r);
        if (options.check_config)
                return check_config(&options);
        r = passed_sockets_take(&passed);
        if (r < 0) {
                (void)fprintf(stderr, "busrtd: cannot take the sockets of systemd: %s\n",
                              strerrordesc_np(-r));
                return EXIT_FAILURE;
        }
        if (options.engine.real_time)
                real_time_prepare();
        if (go_into_background(&options, &ready_fd, &status) > 0)
                return status;
        return daemon_run(&options, &passed, ready_fd);
}

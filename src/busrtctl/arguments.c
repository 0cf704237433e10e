/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: numbers, times, mistakes and help. */
#include <ctype.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/busrtctl.h"
#include "busrtctl/text.h"

#define USEC_PER_SEC 1e6

/* The arguments may come from anywhere, also from a peer by way of a script. */
static void print_visible(const char *string)
{
        _cleanup_free_ char *visible = text_visible(string);

        (void)fputs(visible ? visible : "?", stderr);
}

int usage_error(const char *verb, const char *format, ...)
{
        _cleanup_free_ char *what = NULL;
        va_list args;

        va_start(args, format);
        if (vasprintf(&what, format, args) < 0)
                what = NULL;
        va_end(args);
        (void)fprintf(stderr, "busrtctl%s%s: ", verb ? " " : "", verb ? verb : "");
        print_visible(what ? what : "no memory");
        (void)fprintf(stderr, "\nTry \"busrtctl%s%s --help\".\n", verb ? " " : "",
                      verb ? verb : "");
        return EXIT_USAGE;
}

int check_given(const char *verb, const char *what, const char *value)
{
        return value[0] ? 0 : usage_error(verb, "%s: it is empty", what);
}

int option_error(const char *verb, int c, char **argv)
{
        const char *last = argv[optind - 1];

        if (c == ':')
                return usage_error(verb, "%s needs a value", last);
        if (optopt > 0 && optopt < 0x80 && isgraph(optopt) && strncmp(last, "--", 2) != 0)
                return usage_error(verb, "unknown option -%c", optopt);
        if (optopt == 0)
                return usage_error(verb, "unknown option %s", last);
        return usage_error(verb, "%s: takes no value", last);
}

int print_help(const struct settings *settings, const char *text)
{
        while (*text) {
                size_t len = strcspn(text, "\n");
                bool heading = len > 1 && text[0] != ' ' && text[len - 1] == ':';

                (void)printf("%s%.*s%s\n", heading ? ansi(settings, ANSI_BOLD) : "", (int)len, text,
                             heading ? ansi(settings, ANSI_RESET) : "");
                text += len + (text[len] == '\n');
        }
        return finish_output(EXIT_SUCCESS);
}

int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
        unsigned long long n;
        char *end;

        if (!isdigit((unsigned char)text[0]))
                return -EINVAL;
        errno = 0;
        n = strtoull(text, &end, 10);
        if (*end)
                return -EINVAL;
        if (errno || n < min || n > max)
                return -ERANGE;
        *ret = n;
        return 0;
}

int parse_time(const char *text, uint64_t *ret_usec)
{
        static const struct {
                const char *name;
                double usec;
        } units[] = {{"", 1e6}, {"s", 1e6}, {"ms", 1e3}, {"us", 1}, {"m", 60e6}, {"h", 3600e6}};
        double value;
        char *end;

        if (!isdigit((unsigned char)text[0]) && text[0] != '.')
                return -EINVAL;
        value = strtod(text, &end);
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (strcmp(end, units[i].name) == 0) {
                        value = round(value * units[i].usec);
                        if (!(value >= 1 && value <= 1e15))
                                return -ERANGE;
                        *ret_usec = (uint64_t)value;
                        return 0;
                }
        return -EINVAL;
}

int parse_qos(const char *text, unsigned *ret)
{
        static const char *const names[] = {"no", "processed", "realtime", "realtime-processed"};

        for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
                if (strcmp(text, names[i]) == 0) {
                        *ret = i;
                        return 0;
                }
        return -EINVAL;
}

int finish_output(int status)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        return fail(errno, "cannot write the output");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Text for people: what strangers wrote made harmless, and sizes and times as one says them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TEXT_NUMBER_MAX 32

/* Plain UTF-8 stays as it is; anything that could disturb a terminal or a log comes out as vis(3)
 * writes it. What does not fit is cut. Returns out. */
const char *text_visible(const char *text, char *out, size_t size);
/* UTF-8 stays as it is, however it looks, but for text_suit_dbus(), since D-Bus takes nothing else;
 * anything else comes out as text_visible() writes it. What does not fit is cut. Returns out. */
const char *text_utf8(const char *text, char *out, size_t size);
/* U+FFFD in the place of code points that are no characters (U+FFFE and its like): libsystemd
 * neither sends nor reads a message that has one. text is UTF-8, and does not get longer. */
void text_suit_dbus(char *text);

/* "64 MiB", "1000 bytes" */
const char *text_bytes(uint64_t n, char out[TEXT_NUMBER_MAX]);
/* nanoseconds as "5 s", "0.25 s", "100 ms", "20 µs", "off" for 0 */
const char *text_duration(uint64_t nsec, char out[TEXT_NUMBER_MAX]);

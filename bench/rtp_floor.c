/* The limit: receives the sound of many calls and writes it to files, and does nothing else.
 *
 *     rtp_floor FIRST_PORT STREAMS SECONDS FOLDER
 *
 * One UDP socket a stream on 127.0.0.1, at every other port from the first one that is free; all of them are read
 * every half second with recvmmsg; what a stream brought goes to one file a pair of streams with a write each. No
 * timeline, no check, no encryption: what a recorder needs on top of this is the price of a recorder.
 *
 * Prints the port of each stream in a line of its own, and "ready"; at the end the packets received, and the
 * processor time that they took, in seconds, between the first packet and the last.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, SLOT = 2048, HEADER = 12, TICK_MS = 500 };

static unsigned char buffers[BATCH][SLOT];
static struct iovec pieces[BATCH];
static struct mmsghdr messages[BATCH];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static double clock_of(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: rtp_floor FIRST_PORT STREAMS SECONDS FOLDER\n");
        return 2;
    }
    int port = atoi(argv[1]), streams = atoi(argv[2]);
    double seconds = atof(argv[3]);
    int *in = calloc((size_t)streams, sizeof *in), *out = calloc((size_t)streams, sizeof *out);
    if (!in || !out)
        fail("calloc");
    for (int s = 0; s < streams; s++) {
        struct sockaddr_in at = {.sin_family = AF_INET};
        inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
        in[s] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (in[s] < 0)
            fail("socket");
        do {
            at.sin_port = htons((uint16_t)port);
            port += 2;
            errno = 0;
        } while (port < 65536 && bind(in[s], (struct sockaddr *)&at, sizeof at) < 0 && errno == EADDRINUSE);
        if (errno)
            fail("bind");
        printf("%d\n", port - 2);
        if (s % 2 == 0) {
            char path[4096];
            snprintf(path, sizeof path, "%s/%05d.raw", argv[4], s / 2);
            out[s] = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
            if (out[s] < 0)
                fail(path);
        } else {
            out[s] = out[s - 1];
        }
    }
    for (int i = 0; i < BATCH; i++) {
        pieces[i] = (struct iovec){buffers[i], SLOT};
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    printf("ready\n");
    fflush(stdout);

    long received = 0;
    double began = 0, cpu_began = 0, cpu_last = 0, end = clock_of(CLOCK_MONOTONIC) + seconds;
    while (clock_of(CLOCK_MONOTONIC) < end) {
        struct timespec pause = {0, TICK_MS * 1000000L};
        nanosleep(&pause, NULL);
        double before = clock_of(CLOCK_PROCESS_CPUTIME_ID);
        long here = 0;
        for (int s = 0; s < streams; s++) {
            int count = recvmmsg(in[s], messages, BATCH, MSG_DONTWAIT, NULL);
            if (count <= 0)
                continue;
            struct iovec sound[BATCH];
            for (int i = 0; i < count; i++)
                sound[i] = (struct iovec){buffers[i] + HEADER, messages[i].msg_len - HEADER};
            if (writev(out[s], sound, count) < 0)
                fail("writev");
            here += count;
        }
        if (here && began == 0) {
            began = clock_of(CLOCK_MONOTONIC);
            cpu_began = before;
        }
        received += here;
        if (here)
            cpu_last = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    }
    printf("%ld %.4f\n", received, cpu_last - cpu_began);
    return 0;
}

/* Sends the sound of many calls: a packet every 20 ms to each address, all from one socket.
 *
 *     rtp_load ADDRESSES SECONDS [PACKETS SIZE]
 *
 * ADDRESSES is a file with a line "host port" for each stream. Stream s begins in millisecond s % 20, so that
 * the packets are spread evenly. Packet k of stream s has SSRC s + 1, sequence number k, timestamp 160 k and 160
 * bytes of which byte i is (37 s + 11 k + 3 i + (k >> 5)) % 127: whoever recorded it can tell each frame from all
 * others, and none of them is µ-law silence. With PACKETS (a file of ready-made packets of SIZE bytes, packet k
 * of stream s at place k * streams + s) those are sent as they are: for SRTP.
 *
 * Prints packets sent, and by how much the worst slot was late, in milliseconds: more than some 200 and the run
 * says more about this program than about the receiver.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, PAYLOAD = 160, HEADER = 12, MAX_PACKET = 512, SLOTS = 20, MAX_STREAMS = 40000 };

static struct sockaddr_in to[MAX_STREAMS];
static unsigned char buffers[BATCH][MAX_PACKET];
static struct iovec pieces[BATCH];
static struct mmsghdr messages[BATCH];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int read_addresses(const char *path)
{
    FILE *file = fopen(path, "r");
    char host[64];
    unsigned port;
    int streams = 0;
    if (!file)
        fail(path);
    while (fscanf(file, "%63s %u", host, &port) == 2) {
        if (streams == MAX_STREAMS) {
            fprintf(stderr, "more than %d streams\n", MAX_STREAMS);
            exit(1);
        }
        to[streams].sin_family = AF_INET;
        to[streams].sin_port = htons((uint16_t)port);
        if (inet_pton(AF_INET, host, &to[streams].sin_addr) != 1) {
            fprintf(stderr, "%s: not an IPv4 address\n", host);
            exit(1);
        }
        streams++;
    }
    fclose(file);
    return streams;
}

static size_t build(unsigned char *packet, uint32_t stream, uint32_t k)
{
    uint16_t sequence = htons((uint16_t)k);
    uint32_t ts = htonl(k * PAYLOAD), ssrc = htonl(stream + 1);
    unsigned value = (37u * stream + 11u * k + (k >> 5)) % 127u;
    packet[0] = 0x80;
    packet[1] = 0;
    memcpy(packet + 2, &sequence, 2);
    memcpy(packet + 4, &ts, 4);
    memcpy(packet + 8, &ssrc, 4);
    for (int i = 0; i < PAYLOAD; i++) {
        packet[HEADER + i] = (unsigned char)value;
        value += 3;
        if (value >= 127)
            value -= 127;
    }
    return HEADER + PAYLOAD;
}

static long send_batch(int out, int count)
{
    int done = 0;
    while (done < count) {
        int sent = sendmmsg(out, messages + done, (unsigned)(count - done), 0);
        if (sent < 0 && errno != EINTR && errno != ENOBUFS && errno != ECONNREFUSED)
            fail("sendmmsg");
        if (sent < 0 && errno == ECONNREFUSED)
            continue; /* of an earlier packet: nobody listens any more */
        if (sent > 0)
            done += sent;
    }
    return done;
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 5) {
        fprintf(stderr, "usage: rtp_load ADDRESSES SECONDS [PACKETS SIZE]\n");
        return 2;
    }
    int streams = read_addresses(argv[1]);
    long frames = atol(argv[2]) * 50;
    const unsigned char *ready = NULL;
    size_t size = 0;
    if (argc == 5) {
        int file = open(argv[3], O_RDONLY);
        struct stat about;
        size = (size_t)atol(argv[4]);
        if (file < 0 || fstat(file, &about) < 0)
            fail(argv[3]);
        if (size > MAX_PACKET || (size_t)about.st_size < size * (size_t)streams * (size_t)frames) {
            fprintf(stderr, "%s: too few packets, or too large ones\n", argv[3]);
            return 1;
        }
        ready = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (ready == MAP_FAILED)
            fail("mmap");
    }
    int out = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;
    if (out < 0)
        fail("socket");
    setsockopt(out, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);

    /* Ahead of whatever else runs on this core, where that is allowed: late packets are a fault of this program. */
    struct sched_param first = {.sched_priority = 1};
    (void)sched_setscheduler(0, SCHED_FIFO, &first);

    long sent = 0;
    double worst = 0, start = now() + 0.05;
    for (long slot = 0; slot < frames * SLOTS; slot++) {
        double due = start + (double)slot / 1000.0, early = due - now();
        if (early > 0) {
            struct timespec pause = {0, (long)(early * 1e9)};
            nanosleep(&pause, NULL);
        } else if (-early > worst) {
            worst = -early;
        }
        int count = 0;
        uint32_t k = (uint32_t)(slot / SLOTS);
        for (int stream = (int)(slot % SLOTS); stream < streams; stream += SLOTS) {
            size_t length = size;
            if (ready)
                memcpy(buffers[count], ready + ((size_t)k * (size_t)streams + (size_t)stream) * size, size);
            else
                length = build(buffers[count], (uint32_t)stream, k);
            pieces[count] = (struct iovec){buffers[count], length};
            memset(&messages[count], 0, sizeof messages[count]);
            messages[count].msg_hdr.msg_name = &to[stream];
            messages[count].msg_hdr.msg_namelen = sizeof to[stream];
            messages[count].msg_hdr.msg_iov = &pieces[count];
            messages[count].msg_hdr.msg_iovlen = 1;
            if (++count == BATCH) {
                sent += send_batch(out, count);
                count = 0;
            }
        }
        sent += send_batch(out, count);
    }
    printf("%ld %.1f\n", sent, worst * 1000);
    return 0;
}

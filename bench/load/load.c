/* Keeps CONNECTIONS to 127.0.0.1:PORT busy with the requests in FILE and prints what it saw as JSON.
 *
 *   load PORT CONNECTIONS WARMUP SECONDS LIMIT FILE
 *
 * FILE holds requests one after another, each as "<bytes>\n<request>". They are sent in turn, around, by whichever
 * connection is free. The first "{serial--------}" in a request becomes 16 hex digits that are never the same twice.
 * Ends after SECONDS, not counting WARMUP, but not before there is an answer for each connection; or after LIMIT
 * answers (0: no limit).
 *
 * One thread and no allocation per request, because it shares the machine with what it measures.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MARK "{serial--------}"
#define HEAD 16384
#define SAMPLES 8000000
#define PATIENCE 60.0

struct request { char *bytes; long length, mark; };
struct connection {
  int fd, head;            /* bytes of the head read so far */
  long length, sent, body; /* of the request; of the answer's body what is still to come, -1: in the head */
  int status, close;
  double began;
  char *out, in[HEAD + 1];
};

static struct request *requests;
static struct connection *connections;
static int count, port, epoll;
static long limit, issued, answered, broken, received, statuses[1000];
static uint64_t serial;
static float *samples;
static long sampled;

static void fail(const char *what) { fprintf(stderr, "load: %s\n", what); exit(1); }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static int by_size(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static long read_requests(const char *path) {
  FILE *file = fopen(path, "rb");
  long length, longest = 0;
  if (!file) fail("cannot open the file of requests");
  while (fscanf(file, "%ld", &length) == 1 && fgetc(file) == '\n') {
    requests = realloc(requests, (count + 1) * sizeof *requests);
    struct request *r = &requests[count++];
    r->bytes = malloc(length);
    r->length = length;
    if (fread(r->bytes, 1, length, file) != (size_t)length) fail("the file of requests ends too soon");
    char *mark = memmem(r->bytes, length, MARK, strlen(MARK));
    r->mark = mark ? mark - r->bytes : -1;
    if (length > longest) longest = length;
  }
  fclose(file);
  if (!count) fail("the file holds no requests");
  return longest;
}

static void open_connection(struct connection *c) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int on = 1;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) fail("nobody listens there");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
}

static void watch(struct connection *c, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = c};
  epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static void go_on_sending(struct connection *c) {
  while (c->sent < c->length) {
    long n = write(c->fd, c->out + c->sent, c->length - c->sent);
    if (n < 0) {
      if (errno == EAGAIN) watch(c, EPOLLIN | EPOLLOUT);
      return; /* another error: reading tells what has become of the connection */
    }
    c->sent += n;
    if (c->sent == c->length) watch(c, EPOLLIN);
  }
}

static void send_next(struct connection *c) {
  if (limit && issued >= limit) return;
  struct request *r = &requests[issued++ % count];
  memcpy(c->out, r->bytes, r->length);
  if (r->mark >= 0) {
    char digits[17];
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)serial++);
    memcpy(c->out + r->mark, digits, 16);
  }
  c->length = r->length;
  c->sent = c->head = c->close = 0;
  c->body = -1;
  c->began = now();
  go_on_sending(c);
}

static void reopen(struct connection *c) {
  close(c->fd);
  open_connection(c);
  send_next(c);
}

static void finish(struct connection *c) {
  answered++;
  statuses[c->status]++;
  if (sampled < SAMPLES) samples[sampled++] = now() - c->began;
  if (c->close) reopen(c);
  else send_next(c);
}

/* Reads the head that now lies in c->in, up to `end`. */
static void read_head(struct connection *c, char *end) {
  *end = 0;
  c->status = atoi(c->in + 9);
  if (strncmp(c->in, "HTTP/1.", 7) || c->status < 100 || c->status > 999) fail("an answer is no HTTP");
  char *length = strcasestr(c->in, "\ncontent-length:");
  if (!length && c->status != 204 && c->status != 304) fail("an answer does not tell its length");
  c->close = strcasestr(c->in, "\nconnection: close") != NULL;
  long head = end + 4 - c->in;
  c->body = (length ? atol(length + 16) : 0) - (c->head - head);
}

static void receive(struct connection *c) {
  static char waste[262144];
  for (;;) {
    long n = c->body < 0 ? read(c->fd, c->in + c->head, HEAD - c->head) : read(c->fd, waste, sizeof waste);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      broken++;
      reopen(c);
      return;
    }
    received += n;
    if (c->body < 0) {
      c->head += n;
      c->in[c->head] = 0;
      char *end = strstr(c->in, "\r\n\r\n");
      if (end) read_head(c, end);
      else if (c->head == HEAD) fail("the head of an answer is too long");
    } else c->body -= n;
    if (c->body == 0) {
      finish(c);
      return;
    }
  }
}

static void report(double seconds) {
  qsort(samples, sampled, sizeof *samples, by_size);
  double p[4] = {0.5, 0.9, 0.99, 1.0}, at[4] = {0};
  for (int i = 0; i < 4 && sampled; i++) at[i] = samples[(long)((sampled - 1) * p[i])] * 1e3;
  printf("{\"answers\": %ld, \"seconds\": %.6f, \"bytes\": %ld, \"broken\": %ld, ", answered, seconds, received, broken);
  printf("\"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, \"statuses\": {", at[0], at[1], at[2], at[3]);
  const char *comma = "";
  for (int status = 100; status < 1000; status++)
    if (statuses[status]) printf("%s\"%d\": %ld", comma, status, statuses[status]), comma = ", ";
  printf("}}\n");
}

int main(int argc, char **argv) {
  if (argc != 7) fail("PORT CONNECTIONS WARMUP SECONDS LIMIT FILE");
  int number = atoi(argv[2]);
  double warmup = atof(argv[3]), seconds = atof(argv[4]), last = now();
  port = atoi(argv[1]);
  limit = atol(argv[5]);
  long longest = read_requests(argv[6]);
  serial = ((uint64_t)time(NULL) << 32) ^ ((uint64_t)getpid() << 40);
  samples = malloc(SAMPLES * sizeof *samples);
  connections = calloc(number, sizeof *connections);
  epoll = epoll_create1(0);
  double start = now() + warmup;
  int warm = warmup <= 0;
  for (int i = 0; i < number; i++) {
    connections[i].out = malloc(longest);
    open_connection(&connections[i]);
    send_next(&connections[i]);
  }
  struct epoll_event events[256];
  while ((now() < start + seconds || answered + broken < number) && !(limit && answered + broken >= limit)) {
    int n = epoll_wait(epoll, events, 256, 100);
    if (n > 0) last = now();
    else if (now() - last > PATIENCE) fail("no answer for a minute");
    for (int i = 0; i < n; i++) {
      if (events[i].events & EPOLLOUT) go_on_sending(events[i].data.ptr);
      if (events[i].events & ~EPOLLOUT) receive(events[i].data.ptr);
    }
    if (!warm && now() >= start) {
      warm = 1;
      start = now();
      answered = broken = received = sampled = 0;
      memset(statuses, 0, sizeof statuses);
    }
  }
  report(now() - start);
  return 0;
}

/* To be preloaded: what connects to port 5672 of the loopback gets $AMQP_PORT there, and what connects to 5673, where the
   second node of a cluster would be, is refused. For suites that know no other ports. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

typedef int connect_function(int, const struct sockaddr *, socklen_t);

int connect(int fd, const struct sockaddr *address, socklen_t length) {
  connect_function *next = (connect_function *)dlsym(RTLD_NEXT, "connect");
  const char *port = getenv("AMQP_PORT");
  struct sockaddr_in mapped;
  if (!port || length < sizeof mapped || address->sa_family != AF_INET) return next(fd, address, length);
  memcpy(&mapped, address, sizeof mapped);
  int known = ntohl(mapped.sin_addr.s_addr) >> 24 == 127 ? ntohs(mapped.sin_port) : 0;
  if (known == 5673) {
    errno = ECONNREFUSED;
    return -1;
  }
  if (known == 5672) mapped.sin_port = htons(atoi(port));
  return next(fd, (struct sockaddr *)&mapped, sizeof mapped);
}

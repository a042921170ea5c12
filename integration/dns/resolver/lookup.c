/* Prints the addresses of a name by getaddrinfo, one a line, or why there are none. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(int count, char **arguments) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list, *one;
    char text[128];
    int error;

    if (count != 2) return 2;
    error = getaddrinfo(arguments[1], NULL, &hints, &list);
    if (error) {
        printf("%s\n", gai_strerror(error));
        return 1;
    }
    for (one = list; one; one = one->ai_next)
        if (!getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST)) puts(text);
    freeaddrinfo(list);
    return 0;
}

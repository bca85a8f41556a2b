#include <sys/socket.h>
#include <microhttpd.h>

/// Starts a daemon without threads of its own: the owner polls its epoll descriptor and runs it. Swift cannot call a function
/// with a variable argument list. NULL if memory or descriptors are short.
static inline struct MHD_Daemon *asterism_http_start(
    int listening_socket, unsigned int connection_limit, size_t connection_memory, void *context,
    MHD_AccessHandlerCallback on_request, void *(*on_target)(void *, const char *, struct MHD_Connection *),
    MHD_RequestCompletedCallback on_completed, MHD_NotifyConnectionCallback on_connection) {
    // No digest nonces: there is no such authentication here. No timeouts of its own: the server above has stricter ones.
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, context,
        MHD_OPTION_LISTEN_SOCKET, listening_socket,
        MHD_OPTION_CONNECTION_LIMIT, connection_limit,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, connection_memory,
        MHD_OPTION_CONNECTION_TIMEOUT, 0u,
        MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_NONCE_NC_SIZE, 0u,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, context,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, context,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, context,
        MHD_OPTION_END);
}

static inline int asterism_http_epoll(struct MHD_Daemon *daemon) {
    return MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

static inline unsigned int asterism_http_connections(struct MHD_Daemon *daemon) {
    return MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

static inline int asterism_http_socket(struct MHD_Connection *connection) {
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

static inline void *asterism_http_socket_context(struct MHD_Connection *connection) {
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

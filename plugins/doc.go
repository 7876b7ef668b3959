// Package plugins runs providers in processes of their own, and makes plugins
// from providers.
//
// # Opening
//
// With the import
//
//	import _ "fairlead.dev/plugins/auto"
//
// fairlead.Open accepts URLs such as plugin+redis://127.0.0.1:6379. It also opens
// a scheme in a plugin if no linked package offers the scheme. A [Host] does the
// same under the program's own control. The provider behaves as if it were linked
// in, except that fairlead.As returns false for it.
//
// # Plugins
//
// A plugin is a binary fairlead-NAME with a manifest fairlead-NAME.json beside it,
// in one of the plugin [Folders]. "fairlead plugin install BINARY" or [Install]
// puts both there. The [Manifest] has
//   - the schemes that the plugin offers, with their settings: URLs are checked
//     before a process is started;
//   - the checksum of the binary, which is compared before each start: on Linux the
//     very file that was compared is run;
//   - the environment variables that the plugin gets.
//
// [Installed.Verify] lists the other checks.
//
// A provider's package becomes a plugin in ten lines: see [Main]. For other
// languages, see docs/plugin-protocol.md.
//
// # What a plugin gets
//
// From the host's environment, a plugin gets HOME, TZ, LANG, LC_ALL, SSL_CERT_FILE
// and SSL_CERT_DIR, and the variables that its manifest names. The backend's URL is
// sent over the connection, and so are the variables that the URL's settings name
// (for example password-env): no secret is in the plugin's arguments or
// environment. The working directory is the host's, so that a relative path in a
// URL means the same file. The plugin's standard error goes to the host's logger;
// log records keep their levels. The lowest level that the logger takes is passed
// on as FAIRLEAD_LOG_LEVEL.
//
// The connection is a Unix socket in a folder that only this user may enter, with
// certificates that are made for this one start. The frame socket beside it has no
// TLS. There, each end asks the kernel whether the other one belongs to the same
// user, and the host presents a token that it got over the connection and that can
// be used once.
//
// # Supervision
//
// A host runs one process of each plugin for all providers that it has opened,
// until the last of them is closed. A process that ends, or fails a health check,
// is replaced after a pause; the providers then reopen their backend. Until then
// calls fail with Unavailable, and writes that were in flight with UnknownOutcome;
// subscriptions and watches resume. A plugin that does not stay alive is in a crash
// loop: calls fail with Unavailable and the last lines that the plugin wrote. The
// host starts it again after a cooldown, or at the next Open. See [RestartPolicy],
// [WithHealthCheck] and [Host.Status]. OpenTelemetry gets the metrics
// fairlead.plugin.up (1 while the process serves) and fairlead.plugin.restarts, with
// the attribute fairlead.plugin.name.
//
// No process outlives its host, even if the host is killed: a plugin ends when its
// Lifetime stream breaks. It then closes its sessions, within 1.5 s.
//
// # Sidecars
//
// A plugin can also be started independently, before or after the program:
//
//	fairlead-redis --listen unix:///run/fairlead/redis.sock --url-file /etc/fairlead/url
//
// Any number of programs can open it with sidecar+unix:///run/fairlead/redis.sock,
// a scheme that this package registers. Opening waits for the sidecar until the
// context ends. Once open, a provider reconnects to a sidecar that is gone until
// the provider is closed. Sidecar and program must run as the same user: each asks
// the kernel who the other one is, and refuses other users. Where the kernel does
// not say (Windows), the socket's file mode protects it. The sidecar offers a faster transport on a second
// socket, at the same path with ".frames" added. Where the program cannot reach
// that one, calls use the gRPC connection.
//
// Over TCP (--listen tcp://host:port, with --tls-cert, --tls-key and
// --tls-client-ca) the scheme is sidecar+tcp, with ca-file, cert-file and key-file.
// Both sides present a certificate, unless the address is a loopback address: then
// every user of the machine can use the backend. Over TCP a sidecar needs the
// backend's URL (--url, --url-file) and opens no other one: so no client can name
// files or variables that the sidecar reads.
//
// # Speed
//
// docs/performance.md compares plugins with linked-in providers and with plain
// go-plugin. "make bench-plugins" runs the comparison.
//
// Both ends of a frame socket spin for 100 µs before they sleep, as long as that
// finds frames. A program that calls a quick backend without a pause thus keeps
// both processes busy. At most half of the processors (GOMAXPROCS) spin, and with
// one processor none does.
//
// A provider has one connection to its plugin, and large frames delay small ones:
// after values of 8 MiB, another call waits 0.1 s or more. If leases of about a
// second must be extended meanwhile, open the provider twice.
//
// # Debugging
//
// Start the plugin in a debugger with --listen unix:///run/user/1000/redis.sock, in
// a folder that only you can write to, and the program with
//
//	FAIRLEAD_REATTACH='{"redis":"unix:///run/user/1000/redis.sock"}'
//
// The host then uses that process for the plugin redis and sends it the URLs that
// the program opens. It neither supervises nor ends the process. The plugin's
// manifest must be in a plugin folder; its binary is ignored.
package plugins

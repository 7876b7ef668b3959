// Package plugins runs providers in processes of their own, and makes plugins
// of providers.
//
// # Opening
//
// With the import
//
//	import _ "fairlead.dev/plugins/auto"
//
// fairlead.Open takes URLs like plugin+redis://127.0.0.1:6379, and opens a
// scheme that is not linked in with a plugin, too. A [Host] does the same under
// the program's own control. The provider behaves as the linked-in one, except
// that fairlead.As is false for it.
//
// # Plugins
//
// A plugin is a binary named fairlead-NAME with a manifest fairlead-NAME.json
// beside it, in one of the plugin [Folders]. "fairlead plugin install BINARY"
// or [Install] puts both there. The [Manifest] has the schemes that the plugin
// offers with their settings, so that URLs are checked before a process starts;
// the binary's checksum, which is compared before each start; and the
// environment variables that the plugin gets. [Installed.Verify] says what else
// is refused.
//
// A plugin is made of a provider's package in ten lines: see [Main]. Other
// languages: docs/plugin-protocol.md.
//
// # What a plugin gets
//
// From the host's environment: HOME, TZ, LANG, LC_ALL, SSL_CERT_FILE and
// SSL_CERT_DIR, and what its manifest names. The backend's URL and the variables
// that the URL's settings name (as password-env) are sent over the connection:
// no secret is in the plugin's arguments or environment. The working directory
// is the host's, so that a relative path in a URL means the same file. What the
// plugin writes to its standard error goes to the host's logger, with the levels
// of log records kept; the least level that the logger takes is passed on as
// FAIRLEAD_LOG_LEVEL.
//
// The connection is a Unix socket in a folder that only this user may enter,
// with certificates made for this one start. The frames' socket beside it has
// no TLS: each end asks the kernel whether the other is of the same user, and
// the host shows a token that it got over the connection and that serves once.
//
// # Supervision
//
// A host runs one process of each plugin for all providers that it has opened,
// until the last of them is closed. A process that ends, or does not answer a
// health check in time, is replaced after a pause; the providers then open their
// backend again. Meanwhile calls fail with Unavailable, and writes under way with
// UnknownOutcome; subscriptions and watches resume. A plugin that does not stay
// alive is in a crash loop: calls fail with Unavailable and the last lines that
// it wrote, until it is tried again after a while, or at the next Open. See
// [RestartPolicy], [WithHealthCheck] and [Host.Status]. OpenTelemetry has the
// metrics fairlead.plugin.up (1 while the process serves) and
// fairlead.plugin.restarts, with the attribute fairlead.plugin.name.
//
// No process outlives its host, not even one that is killed: a plugin ends when
// its Lifetime stream breaks. It then closes its sessions, within 1.5 s.
//
// # Sidecars
//
// A plugin can be started by somebody else, before or after the program:
//
//	fairlead-redis --listen unix:///run/fairlead/redis.sock --url-file /etc/fairlead/url
//
// Any number of programs open it with sidecar+unix:///run/fairlead/redis.sock,
// a scheme that this package registers. Opening waits for the sidecar until the
// context ends; once open, a provider looks for a sidecar that is gone until it
// is closed. The socket is its user's alone: sidecar and program run as the same
// user. Beside it, at the same path with ".frames" added, the sidecar offers a
// faster transport; where the program cannot reach that, calls take the gRPC
// connection. Over TCP (--listen tcp://host:port, with --tls-cert, --tls-key and
// --tls-client-ca) the scheme is sidecar+tcp, with ca-file, cert-file and
// key-file; both sides show a certificate, unless the address is a loopback
// address.
//
// # Speed
//
// "make bench-plugins" compares the ways to a provider in turns. On two cores,
// against a unary call of go-plugin to a driver that does nothing: frames carry
// 8 to 12 times its rate with 64 callers and 7 to 10 times with one, the gRPC
// stream 4.6 to 7.5 and 1.2 times; a call over frames takes 0.08 to 0.09 of the
// time that a unary one adds to the linked-in provider's, 8 to 15 µs. With Redis
// behind (appendfsync always), 64 callers and frames, against go-redis called
// directly: 2.0 to 2.5 times for Get, 1.1 to 1.5 for Publish, 0.9 to 1.1 for Put
// (linked in 1.2 to 1.6: a Put keeps a revision, an index and a log). These are
// medians of several runs; the machine's other work shows in them, so run it on
// your own.
//
// Frames are that quick because both ends look for 100 µs whether more comes
// before they sleep, as long as that finds something: programs that call a quick
// backend without a pause keep both processes busy. Nothing looks where there is
// one processor (GOMAXPROCS), and at most half of them do.
//
// A provider has one connection to its plugin, and what is large holds up what
// is small: behind values of 8 MiB, another call waits 0.1 s and more. Where
// leases of about a second are to be extended meanwhile, open the provider twice.
//
// # Debugging
//
// Start the plugin in a debugger with --listen unix:///tmp/redis.sock, and the
// program with
//
//	FAIRLEAD_REATTACH='{"redis":"unix:///tmp/redis.sock"}'
//
// The host then uses that process for the plugin redis, sends it the URLs that
// the program opens, and neither supervises nor ends it. The plugin's manifest
// has to be in a plugin folder; its binary is not looked at.
package plugins

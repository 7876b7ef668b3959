// Package service is the plugin's side of the protocol. It opens backends for
// hosts, and carries out the calls of their sessions with the drivers of the
// provider that is linked in.
package service

package providers

import "context"

// Cleaner is an optional interface of a provider that keeps something on its
// backend which no facet can list and delete, for example the addresses of rpc
// servers. The conformance suite uses it to leave a backend as it was. It is never
// offered across a process boundary.
type Cleaner interface {
	// Clean removes all that the provider keeps on the backend for names that start
	// with prefix, in every facet: entries in lists of names, addresses, leases,
	// records. The suite has deleted the stores and topics of these names before,
	// and nothing uses the names meanwhile. What has expired or vanished since is no
	// error.
	//
	// It returns what it removed, also with an error: a facet, a space and a name for
	// each, as in "rpc orders".
	Clean(ctx context.Context, prefix string) (removed []string, err error)
}

package redis

// splitEntry returns the ID and the fields of an entry of a stream.
func splitEntry(e any) (id string, fields []any) {
	if parts, ok := e.([]any); ok && len(parts) == 2 {
		return asText(parts[0]), asList(parts[1])
	}
	return "", nil
}

func entryID(e any) string {
	id, _ := splitEntry(e)
	return id
}

// sizeOf returns the total bytes of the names and values of fields.
func sizeOf(fields []any) (bytes int) {
	for _, f := range fields {
		bytes += len(asText(f))
	}
	return bytes
}

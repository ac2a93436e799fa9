/*
 * Types of files by the last extension of their name.  Workers.
 */
#include "handler/static.h"

#define UTF8	"; charset=utf-8"

/* sorted by extension */
static const struct {
	const char	*ext;
	const char	*type;
	bool		 packs;		/* worth compressing */
} types[] = {
	{ "3g2", "video/3gpp2", false },
	{ "3gp", "video/3gpp", false },
	{ "7z", "application/x-7z-compressed", false },
	{ "aac", "audio/aac", false },
	{ "ai", "application/postscript", true },
	{ "apk", "application/vnd.android.package-archive", false },
	{ "apng", "image/apng", false },
	{ "asc", "text/plain" UTF8, true },
	{ "atom", "application/atom+xml", true },
	{ "avi", "video/x-msvideo", false },
	{ "avif", "image/avif", false },
	{ "bin", "application/octet-stream", false },
	{ "bmp", "image/bmp", true },
	{ "br", "application/x-brotli", false },
	{ "bz2", "application/x-bzip2", false },
	{ "c", "text/x-c" UTF8, true },
	{ "cjs", "text/javascript" UTF8, true },
	{ "conf", "text/plain" UTF8, true },
	{ "crt", "application/x-x509-ca-cert", false },
	{ "css", "text/css" UTF8, true },
	{ "csv", "text/csv" UTF8, true },
	{ "cur", "image/vnd.microsoft.icon", true },
	{ "deb", "application/vnd.debian.binary-package", false },
	{ "der", "application/x-x509-ca-cert", false },
	{ "diff", "text/x-diff" UTF8, true },
	{ "dmg", "application/x-apple-diskimage", false },
	{ "doc", "application/msword", false },
	{ "docx", "application/vnd.openxmlformats-officedocument"
	    ".wordprocessingml.document", false },
	{ "dtd", "application/xml-dtd", true },
	{ "eot", "application/vnd.ms-fontobject", true },
	{ "eps", "application/postscript", true },
	{ "epub", "application/epub+zip", false },
	{ "exe", "application/octet-stream", false },
	{ "flac", "audio/flac", false },
	{ "flv", "video/x-flv", false },
	{ "geojson", "application/geo+json", true },
	{ "gif", "image/gif", false },
	{ "glb", "model/gltf-binary", true },
	{ "gltf", "model/gltf+json", true },
	{ "gpx", "application/gpx+xml", true },
	{ "gz", "application/gzip", false },
	{ "h", "text/x-c" UTF8, true },
	{ "heic", "image/heic", false },
	{ "heif", "image/heif", false },
	{ "htm", "text/html" UTF8, true },
	{ "html", "text/html" UTF8, true },
	{ "ico", "image/vnd.microsoft.icon", true },
	{ "ics", "text/calendar" UTF8, true },
	{ "img", "application/octet-stream", false },
	{ "ini", "text/plain" UTF8, true },
	{ "iso", "application/x-iso9660-image", false },
	{ "jar", "application/java-archive", false },
	{ "jfif", "image/jpeg", false },
	{ "jp2", "image/jp2", false },
	{ "jpeg", "image/jpeg", false },
	{ "jpg", "image/jpeg", false },
	{ "js", "text/javascript" UTF8, true },
	{ "json", "application/json", true },
	{ "json5", "application/json5", true },
	{ "jsonld", "application/ld+json", true },
	{ "jsx", "text/javascript" UTF8, true },
	{ "jxl", "image/jxl", false },
	{ "kml", "application/vnd.google-earth.kml+xml", true },
	{ "kmz", "application/vnd.google-earth.kmz", false },
	{ "log", "text/plain" UTF8, true },
	{ "lz4", "application/x-lz4", false },
	{ "m2ts", "video/mp2t", false },
	{ "m3u", "audio/x-mpegurl", false },
	{ "m3u8", "application/vnd.apple.mpegurl", true },
	{ "m4a", "audio/mp4", false },
	{ "m4s", "video/iso.segment", false },
	{ "m4v", "video/mp4", false },
	{ "map", "application/json", true },
	{ "markdown", "text/markdown" UTF8, true },
	{ "md", "text/markdown" UTF8, true },
	{ "mid", "audio/midi", false },
	{ "midi", "audio/midi", false },
	{ "mjs", "text/javascript" UTF8, true },
	{ "mkv", "video/x-matroska", false },
	{ "mobi", "application/x-mobipocket-ebook", false },
	{ "mov", "video/quicktime", false },
	{ "mp3", "audio/mpeg", false },
	{ "mp4", "video/mp4", false },
	{ "mpd", "application/dash+xml", true },
	{ "mpeg", "video/mpeg", false },
	{ "mpg", "video/mpeg", false },
	{ "obj", "model/obj", true },
	{ "odg", "application/vnd.oasis.opendocument.graphics", false },
	{ "odp", "application/vnd.oasis.opendocument.presentation", false },
	{ "ods", "application/vnd.oasis.opendocument.spreadsheet", false },
	{ "odt", "application/vnd.oasis.opendocument.text", false },
	{ "oga", "audio/ogg", false },
	{ "ogg", "audio/ogg", false },
	{ "ogv", "video/ogg", false },
	{ "opus", "audio/ogg", false },
	{ "otf", "font/otf", true },
	{ "p12", "application/x-pkcs12", false },
	{ "patch", "text/x-diff" UTF8, true },
	{ "pdf", "application/pdf", false },
	{ "pem", "application/x-pem-file", false },
	{ "png", "image/png", false },
	{ "ppt", "application/vnd.ms-powerpoint", false },
	{ "pptx", "application/vnd.openxmlformats-officedocument"
	    ".presentationml.presentation", false },
	{ "ps", "application/postscript", true },
	{ "psd", "image/vnd.adobe.photoshop", false },
	{ "py", "text/x-python" UTF8, true },
	{ "rar", "application/vnd.rar", false },
	{ "rpm", "application/x-rpm", false },
	{ "rss", "application/rss+xml", true },
	{ "rtf", "application/rtf", true },
	{ "sh", "text/x-sh" UTF8, true },
	{ "shtml", "text/html" UTF8, true },
	{ "sql", "application/sql", true },
	{ "srt", "text/plain" UTF8, true },
	{ "stl", "model/stl", true },
	{ "svg", "image/svg+xml", true },
	{ "svgz", "image/svg+xml", false },
	{ "swf", "application/vnd.adobe.flash.movie", false },
	{ "tar", "application/x-tar", false },
	{ "text", "text/plain" UTF8, true },
	{ "tgz", "application/gzip", false },
	{ "tif", "image/tiff", false },
	{ "tiff", "image/tiff", false },
	{ "toml", "application/toml", true },
	{ "torrent", "application/x-bittorrent", false },
	{ "ts", "video/mp2t", false },
	{ "tsv", "text/tab-separated-values" UTF8, true },
	{ "ttc", "font/collection", true },
	{ "ttf", "font/ttf", true },
	{ "txt", "text/plain" UTF8, true },
	{ "vcf", "text/vcard" UTF8, true },
	{ "vtt", "text/vtt" UTF8, true },
	{ "war", "application/java-archive", false },
	{ "wasm", "application/wasm", true },
	{ "wav", "audio/wav", false },
	{ "weba", "audio/webm", false },
	{ "webm", "video/webm", false },
	{ "webmanifest", "application/manifest+json", true },
	{ "webp", "image/webp", false },
	{ "wmv", "video/x-ms-wmv", false },
	{ "woff", "font/woff", false },
	{ "woff2", "font/woff2", false },
	{ "xht", "application/xhtml+xml", true },
	{ "xhtml", "application/xhtml+xml", true },
	{ "xls", "application/vnd.ms-excel", false },
	{ "xlsx", "application/vnd.openxmlformats-officedocument"
	    ".spreadsheetml.sheet", false },
	{ "xml", "application/xml", true },
	{ "xsd", "application/xml", true },
	{ "xsl", "text/xml" UTF8, true },
	{ "xslt", "text/xml" UTF8, true },
	{ "xz", "application/x-xz", false },
	{ "yaml", "application/yaml", true },
	{ "yml", "application/yaml", true },
	{ "zip", "application/zip", false },
	{ "zst", "application/zstd", false }
};

#define NTYPE		(sizeof(types) / sizeof(types[0]))
#define EXT_MAX		16

/* The last extension in lower case; 0: none, or a longer one. */
static size_t
find_ext(struct str name, char *ext)
{
	size_t	at = name.n, i, n;

	while (at > 0 && name.p[at - 1] != '.' && name.p[at - 1] != '/')
		at--;
	n = name.n - at;
	if (at == 0 || name.p[at - 1] != '.' || n == 0 || n > EXT_MAX)
		return 0;
	for (i = 0; i < n; i++) {
		ext[i] = name.p[at + i];
		if (ext[i] >= 'A' && ext[i] <= 'Z')
			ext[i] |= 0x20;
	}
	return n;
}

struct str
static_type(struct str name, bool *packs)
{
	char		ext[EXT_MAX];
	struct str	want = { ext, find_ext(name, ext) };
	size_t		lo = 0, hi = NTYPE, mid;
	int		c;

	*packs = false;
	while (want.n > 0 && lo < hi) {
		mid = lo + (hi - lo) / 2;
		c = str_cmp(want, str_from(types[mid].ext));
		if (c == 0) {
			*packs = types[mid].packs;
			return str_from(types[mid].type);
		}
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return STR("application/octet-stream");
}

struct str
static_type_of(const struct static_route *r, struct str name, bool *packs)
{
	char		ext[EXT_MAX];
	struct str	want = { ext, find_ext(name, ext) };
	struct str	type = static_type(name, packs);

	for (size_t i = 0; want.n > 0 && i < r->types.n; i++)
		if (str_eq_fold(r->types.v[i].key, want)) {
			*packs |= str_starts(r->types.v[i].val, STR("text/"));
			return r->types.v[i].val;
		}
	return type;
}

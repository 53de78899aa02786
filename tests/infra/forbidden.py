"""Every way we know to name a machine that nobody may have us send to (T43)."""

# One address of each forbidden network at least, first and last where that is of use.
V4 = (
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254"),
    *("127.0.0.1", "127.0.0.2", "127.255.255.254", "169.254.0.1", "169.254.169.254"),
    *("169.254.170.2", "172.16.0.1", "172.31.255.254", "192.0.0.1", "192.0.0.192", "192.0.2.1"),
    *("192.88.99.1", "192.168.0.1", "192.168.255.254", "198.18.0.1", "198.19.255.254"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "192.31.196.1", "192.52.193.1", "192.175.48.1"),
)
V6 = (
    *("::", "::1", "::2", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
    *("::ffff:169.254.169.254", "::ffff:8.8.8.8", "::ffff:7f00:1", "::ffff:0:7f00:1"),
    *("0:0:0:0:0:0:0:1", "0:0:0:0:0:ffff:7f00:0001", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1"),
    *("64:ff9b::808:808", "64:ff9b:1::1", "64:ff9b:1:ffff::a00:1", "100::1", "100:0:0:1::1"),
    *("2001::1", "2001:0:7f00:1::", "2001:10::1", "2001:20::1", "2001:1ff:ffff::1"),
    *("2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1", "3fff::1"),
    *("3fff:fff::1", "5f00::1", "fc00::1", "fd00::1", "fd00:ec2::254", "fdff::1", "fe80::1"),
    *("febf::1", "fec0::1", "feff::1", "ff00::1", "ff02::1", "ff05::2", "ff0e::1"),
    "2620:4f:8000::1",
)
ADDRESSES = (*V4, *V6)

# What a resolver, a browser or a C library takes for an address; we take none of it.
NUMBERS = (
    *("2130706433", "017700000001", "0x7f000001", "0x7f.1", "0x7f.0.0.1", "0177.0.0.1"),
    *("0177.0.0.01", "127.1", "127.0.1", "127.0.0.01", "0", "0x0", "1", "10.1", "192.168.1"),
    *("3232235521", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"),
    *("256.256.256.256", "1.2.3", "1.2.3.4.5", "127.0.0.1.", "8.8.8.8.", "8.8.010.8"),
)
NAMES = (
    *("localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain."),
    *("metadata.google.internal", "x.internal", "printer.local", "router.lan", "nas.home.arpa"),
    *("intranet", "db", "a..b", ".example.com", "example.com.", "-a.example.com", "a-.example"),
    *("a" * 64 + ".example.com", ".".join(["abc"] * 70)),
)
TARGETS = (
    *(f"https://{each}/hook" for each in (*V4, *NUMBERS, *NAMES)),
    *(f"https://[{each}]/hook" for each in V6),
    *(f"https://[{each}]:8443/hook" for each in V6[:4]),
)
# Beyond the host: what stands around it.
SPELLINGS = (
    *(
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://127。0。0。1/",
        "https://ⓔxample.com/",
        "https://exämple.com/",
    ),
    *("https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[::1%lo]/", "https://[::1"),
    *("https://user@example.com/", "https://user:pass@example.com/", "https://@example.com/"),
    *("https://example.com@127.0.0.1/", "https://127.0.0.1#@example.com/", "https://a.example#"),
    *("https://example.com\\@127.0.0.1/", "https:\\\\127.0.0.1\\", "https://127.0.0.1\\.example/"),
    *("https://exam\tple.com/", "\thttps://example.com/", "https://example.com/\n", "https://a b/"),
    *("https://example.com/a b", "https://example.com/\x00", "https://example.com/\x7f"),
    *(
        "https://example.com/?q=\ud800",
        "https://%31%32%37.0.0.1/",
        "https://127.0.0.1%2f@a.example",
    ),
    *("https:/example.com/", "https:example.com", "//example.com/", "example.com", "", "https://"),
    *("https:///path", "https://:443/", "https://[]/", "https://[127.0.0.1]/", "https://[::g]/"),
    *("https://example.com:/", "https://example.com:port/", "https://example.com:-1/"),
    *("https://a_b.example.com/", "https://*.example.com/", "https://example.com;@127.0.0.1/"),
)
SCHEMES = tuple(
    f"{scheme}://example.com/"
    for scheme in ("http", "file", "gopher", "unix", "ftp", "ws", "ldap", "dict", "javascript", "h")
)
PORTS = tuple(
    f"https://example.com:{port}/"
    for port in (0, 1, 21, 22, 23, 25, 53, 80, 110, 143, 465, 587, 2375, 3306, 5432, 6379, 9200)
) + tuple(f"https://example.com:{port}/" for port in (11211, 65536, 99999))
ALL = (*TARGETS, *SPELLINGS, *SCHEMES, *PORTS)

ADMITTED = (
    *("https://example.com", "https://example.com/", "https://example.com/hook?a=b&c=%20"),
    *(
        "https://hooks.example.com:8443/v1/x~y;z",
        "https://example.com:443/",
        "HTTPS://EXAMPLE.COM/",
    ),
    *("https://8.8.8.8/hook", "https://[2606:4700::1111]/", "https://xn--exmple-cua.com/"),
    *("https://1.1.1.1:10443/", "https://a.b.c.d.example/", "https://127.0.0.1.example.com/"),
    *("https://172.32.0.1/", "https://100.128.0.1/", "https://example.com?token=1"),
)

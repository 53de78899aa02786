"""The wires of the encrypted-pull family that we know, none of them seen against a real server.

`vouchagram` restates the interface facts of the vendor's reference as public clients follow it;
`valuedesign` is what public clients send and read, its codes from a single one of them; which of
them says for good that an order failed is told nowhere, so none is `final`. Of
`voucherkart` nothing is public: it is modelled on its family and waits for the vendor's word.
"""

from collections.abc import Iterator

import msgspec

from rewards.vendors.adapters.pull_protocol import (
    DUPLICATE,
    IN_PROCESS,
    NOT_KNOWN,
    OTHER_BODY,
    TOKEN,
    UNCLEAR,
    Brand,
    Call,
    Calls,
    Envelope,
    Order,
    Protocol,
    Rule,
    Token,
)
from rewards.vendors.model import Reason

# A token lives about 30 minutes; clients use one for 25.
TOKEN_S = 28 * 60


def _rules(verdict: str, *codes: str) -> Iterator[Rule]:
    return (Rule(code=code, verdict=verdict) for code in codes)


VOUCHAGRAM = Protocol(
    token=Token(path="/gettoken", header="token", lives_s=TOKEN_S, field="data"),
    envelope=Envelope(code=("code",), ok="0000", text=("desc",), kept=("status", "code")),
    calls=Calls(
        place=Call(
            path="/pullvoucher",
            body={
                "BrandProductCode": "sku",
                "ExternalOrderId": "key",
                "Quantity": "quantity",
                "Denomination": "face",
            },
        ),
        status=Call(path="/pullvoucher/checkstatus", body={"sv_ex_order_id": "key"}),
        brands=Call(path="/getbrands", body={"BrandProductCode": "="}, sealed=False),
        stock=Call(path="/getstock", body={"BrandProductCode": "sku", "Denomination": "face"}),
    ),
    order=Order(
        result="ResultType",
        key="ExternalOrderIdOut",
        groups="PullVouchers",
        items="Vouchers",
        fields={
            # The code stands in either of the two; where both are filled none is lost.
            "card_number": ("VoucherGCcode", "VoucherNo"),
            "code": ("VoucherNo",),
            "pin_code": ("Voucherpin",),
            "voucher_reference_number": ("VoucherGuid",),
        },
        face="Value",
        expires="EndDate",
        date_formats=("%d %b %Y", "%d-%b-%Y", "%Y-%m-%d"),
    ),
    brand=Brand(
        sku="BrandProductCode",
        name="BrandName",
        kind="DenomType",
        fixed="denominationList",
        min="MinValue",
        max="MaxValue",
        available="stockAvailable",
    ),
    stock_at=("AvailableQuantity",),
    rules=(
        *_rules(IN_PROCESS, "EROIP"),
        *_rules(NOT_KNOWN, "ER031", "ER061"),
        *_rules(DUPLICATE, "ER048"),
        *_rules(OTHER_BODY, "ER079"),
        *_rules(TOKEN, "ER083"),
        # The same code is used for what is wrong with our money and for whatever went wrong there.
        *(
            Rule(code=code, text="balance", verdict=Reason.INSUFFICIENT_VENDOR_BALANCE)
            for code in ("ER1011", "ER1012")
        ),
        # That our message could not be read is said by a server that may have read it before.
        *_rules(UNCLEAR, "ER1011", "ER1012", "ER1000", "1048", "1051", "ER082"),
        *_rules(Reason.BAD_CREDENTIALS, "ER001", "ER002", "ER024", "1018"),
        *_rules(Reason.IP_NOT_ALLOWED, "ER057"),
        *_rules(Reason.OUT_OF_STOCK, "ER047", "ER1006", "ER1057"),
        *_rules(Reason.PRODUCT_INACTIVE, "ER032", "ER041", "ER076", "1063"),
        *_rules(Reason.BAD_DENOMINATION, "ER077"),
        *_rules(Reason.LIMIT_EXCEEDED, "ER059"),
        *_rules(Reason.VENDOR_CONFIG, "ER003", "ER006", "ER007", "ER010", "ER022", "ER023"),
        *_rules(Reason.VENDOR_CONFIG, "ER025", "ER062", "ER080", "ER1056", "1007", "1043"),
        *_rules(Reason.VENDOR_CONFIG, "1064", "1065", "1084"),
    ),
)

# Which of the family's ciphers it uses is a setting, like everything else here.
VOUCHERKART = msgspec.structs.replace(VOUCHAGRAM)

VALUEDESIGN = Protocol(
    token=Token(
        path="/api-generatetoken/",
        method="POST",
        body={"distributor_id": "@distributor_id"},
        header="token",
        field="token",
        # Clients have seen it live for days; we do not rely on that.
        lives_s=TOKEN_S,
    ),
    envelope=Envelope(
        code=("responseCode", "resultCode", "statuscode"),
        ok="0",
        text=("responseMsg", "statusmessage"),
        kept=("status", "statuscode", "resultCode", "responseCode"),
        ref="request_ref_no",
    ),
    calls=Calls(
        place=Call(
            path="/getevc/",
            body={
                "order_id": "key",
                "sku_code": "sku",
                "distributor_id": "@distributor_id",
                "no_of_card": "quantity",
                "amount": "face",
                "receiptNo": "key",
                "reqId": "key",
                "curr": "=356",
                "firstname": "@firstname",
                "lastname": "@lastname",
                "mobile_no": "@mobile_no",
                "email": "@email",
                "address": "@address",
                "city": "@city",
                "state": "@state",
                "country": "@country",
                "pincode": "@pincode",
            },
        ),
        status=Call(
            path="/getevcstatus/", body={"order_id": "key", "request_ref_no": "ref"}, sealed=False
        ),
        codes=Call(
            path="/getactivatedevc/",
            body={"order_id": "key", "request_ref_no": "ref"},
            sealed=False,
        ),
        brands=Call(path="/api-getbrand/", body={"BrandCode": "="}, sealed=False),
        balance=Call(
            path="/getwalletbalance/", body={"distributor_id": "@distributor_id"}, sealed=False
        ),
    ),
    order=Order(
        groups="brand_details",
        items="items",
        fields={"card_number": ("getCardNo",), "pin_code": ("getCardPin",)},
        face="balanceTotal",
        expires="getExpiryDate",
        # The form of its dates is not known; days come before months in India.
        date_formats=("%Y-%m-%d", "%d-%m-%Y", "%d/%m/%Y", "%d %b %Y", "%Y%m%d"),
    ),
    brand=Brand(
        sku="BrandCode",
        name="BrandName",
        kind="Brandtype",
        fixed="DenominationList",
        min="minPrice",
        max="maxPrice",
        available="StockAvailable",
    ),
    balance_at=("walletdetails", "balance"),
    rules=(
        # One client's table reads 1105 as a bad request, two clients meet it as "processing".
        Rule(code="1105", text="invalid", verdict=UNCLEAR),
        *_rules(IN_PROCESS, "1105", "1106", "701"),
        *_rules(NOT_KNOWN, "700"),
        *_rules(DUPLICATE, "380", "606", "7003", "7004", "9020"),
        *_rules(OTHER_BODY, "608"),
        *_rules(TOKEN, "1102", "1104"),
        *_rules(UNCLEAR, "7001", "8024", "8025"),
        *_rules(Reason.BAD_CREDENTIALS, "9002"),
        *_rules(Reason.IP_NOT_ALLOWED, "1101"),
        *_rules(Reason.OUT_OF_STOCK, "603", "-1"),
        *_rules(Reason.INSUFFICIENT_VENDOR_BALANCE, "16", "503"),
        *_rules(Reason.PRODUCT_INACTIVE, "711", "7002"),
        *_rules(Reason.BAD_DENOMINATION, "329", "383"),
        *_rules(Reason.LIMIT_EXCEEDED, "1107", "7005", "8028"),
        *_rules(Reason.VENDOR_CONFIG, "100", "384", "500", "604", "610", "1103", "8017"),
        *_rules(Reason.VENDOR_CONFIG, "9001", "9006", "9019"),
    ),
)

from {{ package }}.model import Model

if __name__ == "__main__":
    Model()
